//! What `ComputeRental` counted about users and providers.
//!
//! Nobody is banned there: who doesn't want somebody doesn't deal with it. So `banned` is what the contract says, always
//! false with ours.

use jeju_chain::CallData;
use jeju_wallet_auth::account::Account;
use serde_json::{Value, json};

use super::documents::agent as agent_id;
use super::query;
use super::refusal::Refusal;
use super::{Answer, Api};

/// Words of `getUserRecord`: an offset, eight fields, and a text that is bounded here.
const MAX_USER_WORDS: usize = 1 + 8 + 1 + 16;
const PROVIDER_WORDS: usize = 7;

impl Api {
    pub(super) async fn user_reputation(&self, user: &str) -> Result<Answer, Refusal> {
        let user: Account = user.parse().map_err(|_| Refusal::Address("user"))?;
        let call = CallData::new("getUserRecord(address)").address(&user.0);
        let words = self.rental_words(&call, MAX_USER_WORDS).await?;
        user_document(&words).map(|document| Answer::json(&document))
    }

    pub(super) async fn provider_reputation(&self, provider: &str, query: &str) -> Result<Answer, Refusal> {
        let clients = query::clients(query)?;
        let provider: Account = provider.parse().map_err(|_| Refusal::Address("provider"))?;
        let mut document = self.reputation_of(&provider.0).await?;
        document["agent"] = self.agent_of(&provider.0, &clients).await?;
        Ok(Answer::json(&document))
    }

    /// The same, as a part of a provider's document.
    pub(super) async fn reputation_of(&self, provider: &[u8; 20]) -> Result<Value, Refusal> {
        let call = CallData::new("getProviderRecord(address)").address(provider);
        provider_document(&self.rental_words(&call, PROVIDER_WORDS).await?)
    }

    /// What was said of a provider's agent in the registry of ERC-8004: by how many, and the mean of those whose word the
    /// asker wants to count. A mean over everybody would be one over whoever makes most accounts.
    async fn agent_of(&self, provider: &[u8; 20], clients: &[[u8; 20]]) -> Result<Value, Refusal> {
        let snapshot = self.parts.index.now();
        let agent = snapshot.provider(provider).map(|provider| provider.record.agent);
        let agent = agent.filter(|agent| *agent != [0; 32]);
        let Some((registry, agent)) = self.parts.info.contracts.reputation_registry.zip(agent) else {
            return Ok(Value::Null);
        };
        let (_place, block) = self.newest().await?;
        let chain = &self.parts.chain;
        let (page, summary) = tokio::try_join!(
            chain.reputation_clients_at(&block, &registry, &agent, 0, 1),
            chain.reputation_summary_at(&block, &registry, &agent, clients, ["", ""]),
        )?;
        let feedback = json!({
            "count": summary.count,
            "value": summary.value.to_string(),
            "decimals": summary.decimals,
        });
        Ok(json!({
            "agentId": agent_id(&agent),
            "clients": page.total,
            "feedback": if clients.is_empty() { Value::Null } else { feedback },
        }))
    }

    async fn rental_words(&self, call: &CallData, most: usize) -> Result<Vec<[u8; 32]>, Refusal> {
        let contract = self.parts.info.contracts.compute_rental;
        let contract = contract.ok_or(Refusal::RentalsUnavailable)?;
        let (_place, block) = self.newest().await?;
        let chain = &self.parts.chain;
        let answer = chain
            .call_at(&block, &contract, &call.encode(), most * 32)
            .await?;
        let answer = answer.ok_or(Refusal::Chain)?;
        match answer.as_chunks() {
            (words, []) => Ok(words.to_vec()),
            _ => Err(Refusal::Chain),
        }
    }
}

/// `(totalRentals, completedRentals, cancelledRentals, disputedRentals, abuseReports, banned, bannedAt, banReason)`, behind
/// an offset because of the text.
fn user_document(words: &[[u8; 32]]) -> Result<Value, Refusal> {
    let [offset, total, completed, _, _, reports, banned, ..] = words else {
        return Err(Refusal::Chain);
    };
    if count(offset)? != 32 {
        return Err(Refusal::Chain);
    }
    Ok(json!({
        "banned": count(banned)? != 0,
        "totalRentals": count(total)?,
        "completedRentals": count(completed)?,
        "abuseReports": count(reports)?,
    }))
}

/// `(totalRentals, completedRentals, failedRentals, totalEarnings, avgRating, ratingCount, banned)`.
fn provider_document(words: &[[u8; 32]]) -> Result<Value, Refusal> {
    let [total, completed, failed, _, rating, ratings, banned] = words else {
        return Err(Refusal::Chain);
    };
    Ok(json!({
        "banned": count(banned)? != 0,
        // 0 to 10000: hundredths of a score of 0 to 100.
        "rating": count(rating)?,
        "ratingCount": count(ratings)?,
        "totalRentals": count(total)?,
        "completedRentals": count(completed)?,
        "failedRentals": count(failed)?,
    }))
}

/// A number that clients of JSON can read.
fn count(word: &[u8; 32]) -> Result<u64, Refusal> {
    let (high, low) = word.split_at(24);
    let low = u64::from_be_bytes(low.try_into().map_err(|_| Refusal::Chain)?);
    let is_safe = high.iter().all(|byte| *byte == 0) && low < 1 << 53;
    is_safe.then_some(low).ok_or(Refusal::Chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(number: u64) -> [u8; 32] {
        jeju_wallet_auth::eip712::number(number)
    }

    #[test]
    fn records_are_read_as_the_contract_gives_them() {
        let user = [32, 5, 3, 1, 0, 2, 0, 0, 256, 0].map(word);
        let expected =
            json!({ "banned": false, "totalRentals": 5, "completedRentals": 3, "abuseReports": 2 });
        assert_eq!(user_document(&user).unwrap(), expected);
        let provider = [9, 7, 1, 0, 8000, 4, 0].map(word);
        let document = provider_document(&provider).unwrap();
        assert_eq!(
            (&document["rating"], &document["failedRentals"]),
            (&json!(8000), &json!(1))
        );
    }

    #[test]
    fn what_no_contract_answers_is_no_record() {
        assert!(user_document(&[word(32); 6]).is_err());
        assert!(user_document(&[word(64); 10]).is_err());
        assert!(provider_document(&[word(1); 6]).is_err());
        assert!(provider_document(&[[0xff; 32]; 7]).is_err());
        assert!(count(&word(1 << 53)).is_err());
    }
}
