//! Rentals: what the chain says about them, and transactions that a renter's wallet signs.
//!
//! All is read at the newest block: a renter wants to see what it has just done, and the contract checks everything again.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use http::request::Parts as Head;
use hyper::body::Body;
use jeju_chain::{
    Block, CallData, MAX_IMAGE_BYTES, MAX_KEY_BYTES, MAX_SCRIPT_BYTES, Offer, ProviderRecord, RentalRecord,
    RentalStatus,
};
use jeju_wallet_auth::account::Account;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::json_body;
use super::documents::{account, ether};
use super::query;
use super::refusal::Refusal;
use super::resource::Change;
use super::transactions::{NewRental, Transaction};
use super::{Answer, Api};

/// Longest comment of a rating, in bytes: `MAX_NOTE` of the contract.
const MAX_COMMENT: usize = 512;
/// Rentals of a list that are read at a time.
const AT_ONCE: usize = 8;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateBody {
    provider: String,
    /// Hours.
    duration: u64,
    #[serde(default)]
    ssh_public_key: String,
    #[serde(default)]
    container_image: Option<String>,
    #[serde(default)]
    startup_script: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExtendBody {
    additional_hours: u64,
}

#[derive(Deserialize)]
struct RateBody {
    /// 1 to 5.
    rating: u8,
    #[serde(default)]
    review: Option<String>,
}

impl Api {
    pub(super) async fn rentals(&self, query: &str) -> Result<Answer, Refusal> {
        let query = query::rentals(query)?;
        let (contract, _place, block) = self.rentals_now().await?;
        let chain = &self.parts.chain;
        let ids = chain
            .user_rentals_at(&block, &contract, &query.user.0, query.offset, query.limit)
            .await?;
        let next = (ids.len() == query.limit).then(|| query.offset.saturating_add(query.limit as u64));
        let block = &block;
        let read = |id: [u8; 32]| async move { chain.rental_at(block, &contract, &id).await };
        let found: Vec<_> = stream::iter(ids)
            .map(read)
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let rentals: Vec<_> = found.iter().flatten().map(|rental| self.listed(rental)).collect();
        Ok(Answer::json(&json!({ "rentals": rentals, "next": next })))
    }

    pub(super) async fn rental(&self, id: &str) -> Result<Answer, Refusal> {
        let (_, rental) = self.read_rental(id).await?;
        let mut document = self.listed(&rental);
        document["sshPublicKey"] = rental.ssh_public_key.to_string().into();
        document["startupScript"] = rental.startup_script.to_string().into();
        document["pricePerHour"] = rental.rate.to_string().into();
        document["startDeadline"] = ms(rental.start_deadline).into();
        document["endedAt"] = ms(rental.ended_at).into();
        Ok(Answer::json(&document))
    }

    pub(super) async fn quote(&self, query: &str) -> Result<Answer, Refusal> {
        let query = query::quote(query)?;
        let (contract, _place, block) = self.rentals_now().await?;
        let (provider, offer) = self.live_offer(&block, &contract, &query.provider.0).await?;
        let cost = price(&offer, query.hours)?;
        Ok(Answer::json(&json!({
            "provider": query.provider.to_string(),
            "providerName": provider.name.to_string(),
            "durationHours": query.hours,
            "totalCostWei": cost.to_string(),
            "totalCostEth": ether(cost),
        })))
    }

    pub(super) async fn create_rental<B>(&self, head: &Head, body: B) -> Result<Answer, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.account(head)?;
        let body: CreateBody = json_body(body).await?;
        let provider: Account = body.provider.parse().map_err(|_| Refusal::Address("provider"))?;
        let rental = NewRental {
            provider: provider.0,
            hours: body.duration,
            ssh_public_key: &body.ssh_public_key,
            container_image: body.container_image.as_deref().unwrap_or_default(),
            startup_script: body.startup_script.as_deref().unwrap_or_default(),
        };
        bounded("sshPublicKey", rental.ssh_public_key, MAX_KEY_BYTES)?;
        bounded("containerImage", rental.container_image, MAX_IMAGE_BYTES)?;
        bounded("startupScript", rental.startup_script, MAX_SCRIPT_BYTES)?;

        let (contract, _place, block) = self.rentals_now().await?;
        let (_, offer) = self.live_offer(&block, &contract, &provider.0).await?;
        let cost = price(&offer, rental.hours)?;
        if offer.active >= offer.max_concurrent {
            return Err(Refusal::ProviderAtCapacity);
        }
        if offer.ssh_enabled && rental.ssh_public_key.is_empty() {
            return Err(Refusal::SshKey);
        }
        if !self.allows_image(&block, &contract, &rental).await? {
            return Err(Refusal::Image);
        }
        Ok(Answer::json(&json!({
            "success": true,
            "transaction": Transaction::create(contract, rental, cost).document(),
            "chainId": self.parts.info.chain_id,
            "estimatedCost": cost.to_string(),
            "provider": provider.to_string(),
            "duration": rental.hours,
        })))
    }

    pub(super) async fn change_rental<B>(
        &self,
        head: &Head,
        body: B,
        id: &str,
        change: Change,
    ) -> Result<Answer, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let user = self.account(head)?;
        match change {
            Change::Extend => {
                let body: ExtendBody = json_body(body).await?;
                self.extend(user, id, body.additional_hours).await
            }
            Change::Cancel => self.cancel(user, id).await,
            Change::Rate => {
                let body: RateBody = json_body(body).await?;
                self.rate(user, id, body.rating, &body.review.unwrap_or_default())
                    .await
            }
        }
    }

    async fn extend(&self, user: Account, id: &str, hours: u64) -> Result<Answer, Refusal> {
        let (contract, rental) = self.own_rental(user, id).await?;
        if rental.status != RentalStatus::Active {
            return Err(Refusal::RentalNotActive);
        }
        let cost = rental.rate.checked_mul(u128::from(hours)).filter(|_| hours != 0);
        let cost = cost.ok_or_else(|| Refusal::Request("additionalHours is out of range".to_owned()))?;
        Ok(Answer::json(&json!({
            "success": true,
            "transaction": Transaction::extend(contract, rental.id, hours, cost).document(),
            "chainId": self.parts.info.chain_id,
            "estimatedCost": cost.to_string(),
            "additionalHours": hours,
        })))
    }

    async fn cancel(&self, user: Account, id: &str) -> Result<Answer, Refusal> {
        let (contract, rental) = self.own_rental(user, id).await?;
        if rental.status != RentalStatus::Pending {
            return Err(Refusal::RentalNotPending);
        }
        Ok(self.unpaid(&Transaction::cancel(contract, rental.id)))
    }

    async fn rate(&self, user: Account, id: &str, rating: u8, review: &str) -> Result<Answer, Refusal> {
        if !(1..=5).contains(&rating) {
            return Err(Refusal::Request("rating is 1 to 5".to_owned()));
        }
        bounded("review", review, MAX_COMMENT)?;
        let (contract, rental) = self.own_rental(user, id).await?;
        if rental.status != RentalStatus::Completed {
            return Err(Refusal::RentalNotCompleted);
        }
        // Stars of the API, hundredths of the contract.
        Ok(self.unpaid(&Transaction::rate(contract, rental.id, rating * 20, review)))
    }

    fn unpaid(&self, transaction: &Transaction) -> Answer {
        Answer::json(&json!({
            "success": true,
            "transaction": transaction.document(),
            "chainId": self.parts.info.chain_id,
        }))
    }

    /// A rental by its id, and the contract that it is of.
    pub(super) async fn read_rental(&self, id: &str) -> Result<([u8; 20], RentalRecord), Refusal> {
        let id = parse_id(id).ok_or(Refusal::RentalNotFound)?;
        let (contract, _place, block) = self.rentals_now().await?;
        let found = self.parts.chain.rental_at(&block, &contract, &id).await?;
        Ok((contract, found.ok_or(Refusal::RentalNotFound)?))
    }

    async fn own_rental(&self, user: Account, id: &str) -> Result<([u8; 20], RentalRecord), Refusal> {
        let (contract, rental) = match self.read_rental(id).await {
            Err(Refusal::RentalNotFound) => Err(Refusal::RentalOfAnother),
            outcome => outcome,
        }?;
        match rental.user == user.0 {
            true => Ok((contract, rental)),
            false => Err(Refusal::RentalOfAnother),
        }
    }

    /// The contract, a place among those that read the chain, and the block to read at.
    async fn rentals_now(&self) -> Result<([u8; 20], tokio::sync::SemaphorePermit<'_>, Block), Refusal> {
        let contract = self.parts.info.contracts.compute_rental;
        let contract = contract.ok_or(Refusal::RentalsUnavailable)?;
        let (place, block) = self.newest().await?;
        Ok((contract, place, block))
    }

    /// An active provider and what it rents out.
    async fn live_offer(
        &self,
        block: &Block,
        contract: &[u8; 20],
        provider: &[u8; 20],
    ) -> Result<(ProviderRecord, Offer), Refusal> {
        let registry = self.parts.info.contracts.compute_registry;
        let chain = &self.parts.chain;
        let (record, offer) = tokio::try_join!(
            chain.provider_at(block, &registry, provider),
            chain.offer_at(block, contract, provider),
        )?;
        let record = record.ok_or(Refusal::ProviderNotFound)?;
        if !record.active {
            return Err(Refusal::ProviderInactive);
        }
        Ok((record, offer.ok_or(Refusal::ProviderWithoutOffer)?))
    }

    async fn allows_image(
        &self,
        block: &Block,
        contract: &[u8; 20],
        rental: &NewRental<'_>,
    ) -> Result<bool, Refusal> {
        if rental.container_image.starts_with('-') {
            return Ok(false);
        }
        let call = CallData::new("isImageSupported(address,string)")
            .address(&rental.provider)
            .text(rental.container_image);
        let answer = self
            .parts
            .chain
            .call_at(block, contract, &call.encode(), 32)
            .await?;
        let mut yes = [0; 32];
        yes[31] = 1;
        Ok(answer.is_some_and(|answer| answer == yes))
    }

    /// A rental in a list.
    fn listed(&self, rental: &RentalRecord) -> Value {
        let snapshot = self.parts.index.now();
        let provider = snapshot.provider(&rental.provider);
        json!({
            "rentalId": format!("0x{}", hex::encode(rental.id)),
            "user": account(&rental.user),
            "provider": account(&rental.provider),
            "providerName": provider.map(|provider| provider.record.name.to_string()).unwrap_or_default(),
            "status": rental.status.name().to_ascii_uppercase(),
            "startTime": ms(rental.start_time),
            "endTime": ms(rental.end_time),
            "totalCost": rental.paid.to_string(),
            "paidAmount": rental.paid.to_string(),
            "refundedAmount": rental.refunded.to_string(),
            "sshHost": rental.ssh_host.to_string(),
            "sshPort": rental.ssh_port,
            "containerImage": rental.container_image.to_string(),
        })
    }
}

/// Milliseconds since 1970, which clients' dates count in.
pub(super) const fn ms(seconds: u64) -> u64 {
    seconds.saturating_mul(1000)
}

fn price(offer: &Offer, hours: u64) -> Result<u128, Refusal> {
    let (least, most) = (offer.minimum_hours, offer.maximum_hours);
    let cost = offer.hourly_rate().checked_mul(u128::from(hours));
    cost.filter(|_| (u64::from(least)..=u64::from(most)).contains(&hours))
        .ok_or(Refusal::Duration { least, most })
}

fn bounded(field: &'static str, text: &str, most: usize) -> Result<(), Refusal> {
    match text.len() > most {
        true => Err(Refusal::Request(format!("{field} has more than {most} bytes"))),
        false => Ok(()),
    }
}

/// An id as `0x` and 64 digits.
fn parse_id(text: &str) -> Option<[u8; 32]> {
    let mut id = [0; 32];
    hex::decode_to_slice(text.strip_prefix("0x")?, &mut id).ok()?;
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jeju_chain::{GpuType, RentalResources};

    fn offer(price_per_hour: u128) -> Offer {
        Offer {
            resources: RentalResources {
                gpu_type: GpuType::None,
                gpu_count: 2,
                gpu_vram_gb: 0,
                cpu_cores: 2,
                memory_gb: 4,
                storage_gb: 20,
                bandwidth_mbps: 1000,
                tee_capable: true,
            },
            price_per_hour,
            price_per_gpu_hour: 10,
            minimum_hours: 2,
            maximum_hours: 5,
            max_concurrent: 2,
            active: 0,
            ssh_enabled: true,
            docker_enabled: true,
        }
    }

    #[test]
    fn a_price_is_within_the_offers_hours() {
        assert_eq!(price(&offer(100), 3).unwrap(), 360);
        for hours in [0, 1, 6, u64::MAX] {
            assert_eq!(price(&offer(100), hours).unwrap_err().code(), "duration_invalid");
        }
        // What no wallet could pay is no price.
        assert!(price(&offer(u128::MAX), 3).is_err());
    }

    #[test]
    fn an_id_is_32_bytes() {
        assert_eq!(parse_id(&format!("0x{}", "07".repeat(32))), Some([7; 32]));
        for wrong in [
            "",
            "0x",
            "0x07",
            &"07".repeat(32),
            &format!("0x{}", "g".repeat(64)),
        ] {
            assert_eq!(parse_id(wrong), None);
        }
    }
}
