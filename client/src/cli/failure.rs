//! What an error of any command means to a script.

use jeju_client::audit::AuditError;
use jeju_client::chat::ChatError;
use jeju_client::committee::CommitteeError;
use jeju_client::deployment::DeploymentError;
use jeju_client::dev::DevError;
use jeju_client::discover::DiscoverError;
use jeju_client::error::{Class, Error};
use jeju_client::evidence::EvidenceError;
use jeju_client::mpc::MpcError;
use jeju_client::payment::PaymentError;
use jeju_client::policy::command::PolicyCommandError;
use jeju_client::proxy::ProxyError;
use jeju_client::receipt::ReceiptError;
use jeju_client::rental::RentalError;
use jeju_client::route::RouteError;
use jeju_client::ssh::SshError;
use jeju_client::trust::TrustError;
use jeju_client::wallet::AccountKeyError;
use jeju_client::worker::WorkerError;
use serde_json::{Value, json};

/// Exit code for wrong input, and for what is no verdict on a node.
pub(crate) const FAILED: u8 = 1;

/// What an error of any command means to a script.
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) class: Class,
    pub(crate) exit_code: u8,
    message: String,
}

/// Code and class of an error that is one of these.
macro_rules! known {
    ($error:expr, $($kind:ty),+ $(,)?) => {
        $(if let Some(error) = $error.downcast_ref::<$kind>() {
            Some((error.code().to_owned(), error.class()))
        } else)+ {
            None
        }
    };
}

impl Failure {
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        let message = error.to_string();
        // Its programs have exit codes of their own.
        if let Some(error) = error.downcast_ref::<DevError>() {
            return Self {
                code: error.code().to_owned(),
                class: error.class(),
                exit_code: error.exit_code(),
                message,
            };
        }
        let known = known!(
            error,
            Error,
            EvidenceError,
            TrustError,
            ChatError,
            AuditError,
            ReceiptError,
            PolicyCommandError,
            MpcError,
            PaymentError,
            CommitteeError,
            RentalError,
            RouteError,
            WorkerError,
            AccountKeyError,
            SshError,
            ProxyError,
            DiscoverError,
            DeploymentError,
        );
        match known {
            Some((code, class)) => Self {
                code,
                class,
                exit_code: class.exit_code(),
                message,
            },
            None => Self {
                code: "failed".to_owned(),
                class: Class::Usage,
                exit_code: FAILED,
                message,
            },
        }
    }

    /// A line for people.
    pub(crate) fn line(&self) -> String {
        match self.class {
            Class::Policy | Class::Evidence | Class::Stale => {
                format!("jeju: refused ({}): {}", self.code, self.message)
            }
            _ => format!("jeju: {} ({})", self.message, self.code),
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "status": "contraindicated",
            "code": self.code,
            "class": self.class.name(),
            "message": self.message,
        })
    }
}
