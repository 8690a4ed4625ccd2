use std::fmt;

use crate::ParseError;

/// vsock context id of the host (`VMADDR_CID_HOST`), on every platform but AWS Nitro.
pub const HOST_CID: u32 = 2;
/// vsock context id of the host of an AWS Nitro enclave, its parent instance (AWS Nitro Enclaves user guide, "Working with
/// multiple enclaves").
pub const PARENT_CID: u32 = 3;

/// A vsock port of the boundary (`wire-formats.md` §4). Its number is also that of the Unix socket in development.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Port {
    /// SSH, opaque bytes; the host dials.
    Ssh = 2222,
    /// Node API, opaque bytes (attested TLS); the host dials.
    Node = 4007,
    /// MPC, opaque bytes (attested TLS); the host dials.
    Mpc = 4010,
    /// Workers, opaque bytes (attested TLS); the host dials.
    Workers = 4020,
    /// Egress ([`crate::egress`]); the guest dials.
    Egress = 5000,
    /// Store of opaque sealed blobs ([`crate::blob`]); the guest dials.
    Blobs = 5001,
    /// Subset of the Docker API; the guest dials.
    Docker = 5002,
    /// Launch document and collateral ([`crate::document`]); the guest dials.
    Documents = 5003,
    /// Log sink ([`crate::log`]); the guest dials.
    Log = 5004,
    /// Rental streams; the guest dials.
    Rentals = 5005,
    /// Simulated silicon ([`crate::silicon`]), development images only; the guest dials.
    Silicon = 5006,
}

impl Port {
    /// Every port, in ascending order.
    pub const ALL: [Port; 11] = [
        Port::Ssh,
        Port::Node,
        Port::Mpc,
        Port::Workers,
        Port::Egress,
        Port::Blobs,
        Port::Docker,
        Port::Documents,
        Port::Log,
        Port::Rentals,
        Port::Silicon,
    ];

    /// The vsock port number.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Whether the host dials and the guest listens. The other ports work the other way round.
    pub const fn host_dials(self) -> bool {
        matches!(self, Port::Ssh | Port::Node | Port::Mpc | Port::Workers)
    }
}

impl TryFrom<u32> for Port {
    type Error = ParseError;

    fn try_from(number: u32) -> Result<Self, ParseError> {
        Port::ALL
            .into_iter()
            .find(|port| u32::from(port.number()) == number)
            .ok_or(ParseError::UnknownPort(number))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip_and_others_are_refused() {
        for port in Port::ALL {
            assert_eq!(Port::try_from(u32::from(port.number())), Ok(port));
        }
        for number in [0, 22, 4008, 5007, 65536 + 4007, u32::MAX] {
            assert_eq!(Port::try_from(number), Err(ParseError::UnknownPort(number)));
        }
    }

    #[test]
    fn the_host_dials_the_services_only() {
        let dialled: Vec<u16> = Port::ALL
            .into_iter()
            .filter(|p| p.host_dials())
            .map(Port::number)
            .collect();
        assert_eq!(dialled, [2222, 4007, 4010, 4020]);
    }
}
