//! Which measurements `MeasurementRegistry` knows, at one concrete block.

use crate::abi::{Words, one};
use crate::call_data::CallData;
use crate::reader::{Block, ChainReader, ReadError};

impl ChainReader {
    /// How many measurements were ever proposed, as of `block`: their serial numbers are 1 to this number.
    ///
    /// # Errors
    /// Where no k endpoints give the same answer that `MeasurementRegistry` could have given, or where it isn't at
    /// `registry`.
    pub async fn measurement_count_at(&self, block: &Block, registry: &[u8; 20]) -> Result<u32, ReadError> {
        let call = CallData::new("measurementCount()");
        self.read(block, registry, &call, 32, "number of measurements", |answer| {
            one(answer, Words::u32)
        })
        .await
    }

    /// Id of the measurement with that serial number, as of `block`; all zero beyond the last.
    ///
    /// # Errors
    /// As [`ChainReader::measurement_count_at`].
    pub async fn measurement_id_at(
        &self,
        block: &Block,
        registry: &[u8; 20],
        serial: u32,
    ) -> Result<[u8; 32], ReadError> {
        let call = CallData::new("idOf(uint32)").number(serial.into());
        self.read(block, registry, &call, 32, "measurement id", |answer| {
            one(answer, Words::word)
        })
        .await
    }
}
