//! Places for requests: how many answers may be under way, of one tenant and in all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;

use super::Tenant;
use crate::front::error::ApiError;

/// Answers under way at a time.
const ALL: usize = 256;
/// Of one tenant: what a busy client uses, and little enough that three more of its kind leave places for others.
const PER_TENANT: usize = 64;

/// The places, of which a clone is another handle.
#[derive(Clone, Default)]
pub(in crate::front) struct Places(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    all: usize,
    /// Of each tenant that has some.
    by_tenant: HashMap<Tenant, usize>,
}

/// Places that a request has until this is dropped.
pub(in crate::front) struct Place {
    places: Places,
    tenant: Tenant,
    count: usize,
}

impl Places {
    /// Takes places for so many answers.
    ///
    /// # Errors
    /// 429 where the tenant has too many, or all are taken.
    pub(in crate::front) fn take(&self, tenant: Tenant, count: usize) -> Result<Place, ApiError> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let had = taken.by_tenant.get(&tenant).copied().unwrap_or(0);
        if had + count > PER_TENANT {
            let message = format!("You have {PER_TENANT} answers under way, which is all that one may.");
            let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "tenant_overloaded", message);
            return Err(error.with_retry_after(1));
        }
        if taken.all + count > ALL {
            return Err(ApiError::engine_busy());
        }
        taken.all += count;
        taken.by_tenant.insert(tenant, had + count);
        Ok(Place {
            places: self.clone(),
            tenant,
            count,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= self.count;
        if let Some(had) = taken.by_tenant.get_mut(&self.tenant) {
            *had -= self.count;
            if *had == 0 {
                taken.by_tenant.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Tenant = Tenant::Key([1; 32]);

    fn code(refused: Result<Place, ApiError>) -> &'static str {
        let error = refused.err().expect("a refusal");
        assert_eq!((error.status.as_u16(), error.retry_after), (429, Some(1)));
        error.code
    }

    #[test]
    fn a_tenant_has_its_share_and_no_more() {
        let places = Places::default();
        let mut held: Vec<Place> = (0..60).map(|_| places.take(A, 1).unwrap()).collect();
        held.push(places.take(A, 4).unwrap());
        assert_eq!(code(places.take(A, 1)), "tenant_overloaded");
        // Others aren't in its way, nor it in theirs.
        drop(places.take(Tenant::Connection(1), 64).unwrap());
        held.pop();
        assert!(places.take(A, 4).is_ok());
        assert_eq!(code(places.take(A, 5)), "tenant_overloaded");
    }

    #[test]
    fn all_tenants_together_have_what_there_is() {
        let places = Places::default();
        let held: Vec<Place> = (0..4)
            .map(|n| places.take(Tenant::Connection(n), 64).unwrap())
            .collect();
        assert_eq!(code(places.take(A, 1)), "engine_overloaded");
        drop(held);
        assert!(places.take(A, 1).is_ok());
    }

    #[test]
    fn nothing_is_kept_of_a_tenant_that_left() {
        let places = Places::default();
        for number in 0..1000 {
            drop(places.take(Tenant::Connection(number), 3).unwrap());
        }
        let taken = places.0.lock().unwrap();
        assert_eq!((taken.all, taken.by_tenant.len()), (0, 0));
    }
}
