//! [`Payments`] as what pays for requests through the proxy.

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode};
use jeju_attestation::response::EndReason;

use super::payer::{Bill, PayRefusal, Payer, StreamBill};
use crate::payment::{Paid, PaidStream, PaymentError, Payments};
use crate::session::Session;

impl Payer for Payments {
    fn begin<'a>(
        &'a self,
        session: &'a mut Session,
        method: &'a Method,
        path_and_query: &'a str,
        headers: &'a mut HeaderMap,
        body: &'a Bytes,
    ) -> BoxFuture<'a, Result<Option<Box<dyn Bill>>, PayRefusal>> {
        async move {
            let paid = Payments::begin(self, session, method, path_and_query, headers, body).await;
            Ok(paid?.map(|paid| Box::new(paid) as Box<dyn Bill>))
        }
        .boxed()
    }

    fn flush<'a>(&'a self, session: &'a mut Session) -> BoxFuture<'a, ()> {
        async move { told(Payments::flush(self, session).await) }.boxed()
    }

    fn is_due(&self, session: &Session) -> bool {
        Payments::is_due(self, session)
    }
}

impl Bill for Paid {
    fn unsent(self: Box<Self>) {
        Paid::unsent(*self);
    }

    fn whole(self: Box<Self>, status: StatusCode, headers: &HeaderMap, body: &[u8]) {
        told(Paid::whole(*self, status, headers, body));
    }

    fn stream(self: Box<Self>, status: StatusCode, headers: &HeaderMap) -> Box<dyn StreamBill> {
        Box::new(Paid::stream(*self, status, headers))
    }
}

impl StreamBill for PaidStream {
    fn events(&mut self, events: &[u8]) {
        PaidStream::events(self, events);
    }

    fn ended(self: Box<Self>, reason: EndReason) {
        told(PaidStream::ended(*self, reason));
    }
}

impl From<PaymentError> for PayRefusal {
    fn from(error: PaymentError) -> Self {
        Self {
            code: error.code().to_owned(),
            class: error.class(),
            message: error.to_string(),
        }
    }
}

/// The caller has its answer: that it couldn't be paid is for who runs the proxy.
fn told(outcome: Result<(), PaymentError>) {
    if let Err(error) = outcome {
        eprintln!("jeju proxy: not paid yet: {error} ({})", error.code());
    }
}
