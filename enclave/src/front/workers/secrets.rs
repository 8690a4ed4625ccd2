//! Secrets: values that come sealed to the node's key, lie sealed in its store, and are read by the worker alone.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeju_session::hpke::Sealed;
use jeju_store::Change;
use jeju_worker_protocol::api::{
    MAX_SEALED, MAX_SECRETS, SealedSecret, from_hex, is_variable, secret_aad, secret_info,
};
use zeroize::{Zeroize, Zeroizing};

use super::super::error::ApiError;
use super::Workers;
use super::change::Refusal;
use super::worker::{SecretValues, Worker, encode};

impl Workers {
    /// Sets a secret.
    pub(super) async fn set_secret(
        self: &Arc<Self>,
        owner: [u8; 20],
        id: &str,
        name: &str,
        sealed: &SealedSecret,
    ) -> Result<(), Refusal> {
        let value = self.unseal(&owner, id, name, sealed)?;
        let now = self.change_time().await?;
        let _changing = self.begin(&owner).await?;
        let mut worker = Worker::clone(&*self.own(&owner, id)?);
        let place = worker
            .secrets
            .binary_search_by(|(there, _)| there.as_str().cmp(name));
        match place {
            Ok(place) => worker.secrets[place].1 = now,
            Err(_) if worker.secrets.len() >= MAX_SECRETS => {
                let message = format!("A worker has at most {MAX_SECRETS} secrets.");
                return Err(ApiError::invalid("secret_invalid", message, None).into());
            }
            Err(place) => worker.secrets.insert(place, (name.to_owned(), now)),
        }
        let before = self.own(&owner, id)?;
        let mut values = self.secret_values(&before).await?;
        values.retain(|(there, _)| there != name);
        values.push((name.to_owned(), value));
        self.keep(worker, &values).await
    }

    /// Forgets a secret; whether there was one.
    pub(super) async fn delete_secret(
        self: &Arc<Self>,
        owner: [u8; 20],
        id: &str,
        name: &str,
    ) -> Result<bool, Refusal> {
        let _changing = self.begin(&owner).await?;
        let before = self.own(&owner, id)?;
        let mut values = self.secret_values(&before).await?;
        let mut worker = Worker::clone(&before);
        worker.secrets.retain(|(there, _)| there != name);
        if worker.secrets.len() == before.secrets.len() {
            return Ok(false);
        }
        values.retain(|(there, _)| there != name);
        self.keep(worker, &values).await?;
        Ok(true)
    }

    async fn keep(&self, mut worker: Worker, values: &SecretValues) -> Result<(), Refusal> {
        worker.revision = self.next_revision();
        let mut plain: Vec<(String, String)> = values
            .iter()
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect();
        let name = worker.secrets_record();
        let change = match plain.is_empty() {
            true => Change::Erase { name },
            false => Change::Put {
                name,
                value: encode(&plain)?,
            },
        };
        plain.iter_mut().for_each(|(_, value)| value.zeroize());
        self.store(&worker, vec![change]).await
    }

    fn unseal(
        &self,
        owner: &[u8; 20],
        id: &str,
        name: &str,
        sealed: &SealedSecret,
    ) -> Result<Zeroizing<String>, ApiError> {
        if !is_variable(name, "") {
            let message =
                "A secret's name has 1 to 64 letters, digits and _, and doesn't start with a digit.";
            return Err(ApiError::invalid("secret_invalid", message, Some("name")));
        }
        let malformed = || {
            let message = format!(
                "A secret is {{\"encapsulated\": 0x and 64 digits, \"ciphertext\": base64 of at most {MAX_SEALED} bytes}}."
            );
            ApiError::invalid("secret_invalid", message, None)
        };
        let encapsulated = from_hex(&sealed.encapsulated).ok_or_else(malformed)?;
        let ciphertext = STANDARD
            .decode(&sealed.ciphertext)
            .ok()
            .filter(|bytes| bytes.len() <= MAX_SEALED);
        let sealed = Sealed {
            encapsulated,
            ciphertext: ciphertext.ok_or_else(malformed)?,
        };
        let unreadable = || {
            let message = "The secret isn't sealed to this node's key of this boot, for this account, worker and name, \
                           or is no text. Verify the node again: its key changes when it starts.";
            ApiError::invalid("secret_not_readable", message, None)
        };
        let opened = self
            .hpke
            .open(&sealed, secret_info(), &secret_aad(owner, id, name));
        let value = opened.map_err(|_| unreadable())?;
        match String::from_utf8(value) {
            Ok(value) => Ok(Zeroizing::new(value)),
            Err(error) => {
                error.into_bytes().zeroize();
                Err(unreadable())
            }
        }
    }
}
