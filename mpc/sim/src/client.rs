//! Clients: each has a wallet and a list of wishes, asks one member after another, and gives up at some time.

use std::collections::{BTreeMap, VecDeque};

use jeju_mpc::member::Response;
use jeju_mpc::refusal::Refusal;

use crate::queue::Millis;
use crate::requests::{Ask, Asked, Wallet};
use crate::watch::Violation;
use crate::weather::{between, chance};
use crate::world::{News, World};

/// How patient clients are.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// They ask the next member when one hasn't answered for so long.
    pub answer: Millis,
    /// They give up after so long.
    pub wish: Millis,
}

/// What became of a wish.
#[derive(Debug)]
pub struct Outcome {
    /// Whose.
    pub client: usize,
    /// What it was.
    pub ask: Ask,
    /// The answer, or the last refusal if there was any.
    pub result: Result<Response, Option<Refusal>>,
    /// How long it took.
    pub took: Millis,
}

/// All clients.
pub struct Clients {
    /// How patient they are.
    pub patience: Patience,
    clients: Vec<Client>,
    /// Of tickets and alarms.
    of_ticket: BTreeMap<u64, usize>,
    last_ticket: u64,
}

struct Client {
    wallet: Wallet,
    wishes: VecDeque<Wish>,
    attempt: Option<Attempt>,
}

/// Something wanted, and only from these members if there are any.
struct Wish {
    ask: Ask,
    places: Vec<u16>,
}

struct Attempt {
    wish: Wish,
    since: Millis,
    request: Asked,
    /// Of the newest try; also of the alarm that ends it, or that starts the next.
    ticket: u64,
    place: u16,
    waiting: bool,
    tries: u32,
    refusal: Option<Refusal>,
}

impl Clients {
    /// Clients with these wallets.
    pub fn new(wallets: Vec<Wallet>, patience: Patience) -> Self {
        let client = |wallet| Client {
            wallet,
            wishes: VecDeque::new(),
            attempt: None,
        };
        Self {
            patience,
            clients: wallets.into_iter().map(client).collect(),
            of_ticket: BTreeMap::new(),
            last_ticket: 0,
        }
    }

    /// A client's wallet.
    pub fn wallet(&self, client: usize) -> &Wallet {
        &self.clients[client].wallet
    }

    /// Adds to what a client wants, from any member.
    pub fn wish(&mut self, client: usize, ask: Ask) {
        self.wish_from(client, ask, Vec::new());
    }

    /// Adds to what a client wants, from these members only, the first of them first.
    pub fn wish_from(&mut self, client: usize, ask: Ask, places: Vec<u16>) {
        self.clients[client].wishes.push_back(Wish { ask, places });
    }

    /// Whether no client wants anything more.
    pub fn are_content(&self) -> bool {
        self.clients
            .iter()
            .all(|client| client.attempt.is_none() && client.wishes.is_empty())
    }

    /// Lets each client that waits for nothing begin with its next wish.
    pub fn begin(&mut self, world: &mut World) -> Result<(), Violation> {
        for number in 0..self.clients.len() {
            if self.clients[number].attempt.is_some() {
                continue;
            }
            let Some(wish) = self.clients[number].wishes.pop_front() else {
                continue;
            };
            let request = self.request(number, wish.ask, world);
            let place = choose(world, &wish.places, 0);
            self.clients[number].attempt = Some(Attempt {
                wish,
                since: world.now(),
                request,
                ticket: 0,
                place,
                waiting: false,
                tries: 0,
                refusal: None,
            });
            self.ask(number, world)?;
        }
        Ok(())
    }

    /// Takes news from the world; tells when a wish came true or was given up.
    pub fn hear(&mut self, news: News, world: &mut World) -> Result<Option<Outcome>, Violation> {
        let ticket = match &news {
            News::Answer { ticket, .. } | News::Gone { ticket } | News::Alarm(ticket) => *ticket,
        };
        let Some(number) = self.of_ticket.get(&ticket).copied() else {
            return Ok(None);
        };
        let Some(attempt) = self.clients[number]
            .attempt
            .as_mut()
            .filter(|attempt| attempt.ticket == ticket)
        else {
            return Ok(None);
        };
        match news {
            News::Answer {
                outcome: Ok(response),
                ..
            } => return Ok(self.finish(number, Ok(response), world)),
            News::Answer {
                outcome: Err(refusal),
                ..
            } => attempt.refusal = Some(refusal),
            News::Gone { .. } => {}
            News::Alarm(_) if !attempt.waiting => {
                self.ask(number, world)?;
                return Ok(None);
            }
            News::Alarm(_) => {}
        }
        if world.now() > attempt.since + self.patience.wish {
            let refusal = attempt.refusal.clone();
            return Ok(self.finish(number, Err(refusal), world));
        }
        // The same request again where that may help, else a fresh one; at another member.
        attempt.waiting = false;
        let reusable = attempt.request.expires > world.seconds() + 60
            && matches!(
                attempt.refusal,
                None | Some(
                    Refusal::Busy | Refusal::TimedOut | Refusal::NoQuorum { .. } | Refusal::ShareMissing
                )
            );
        let (ask, places, place) = (attempt.wish.ask, attempt.wish.places.clone(), attempt.place);
        let tries = attempt.tries;
        let again = reusable && chance(&mut world.rng, 500);
        let place = choose(world, &places, place);
        let request = (!again).then(|| self.request(number, ask, world));
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        self.of_ticket.insert(ticket, number);
        if let Some(attempt) = &mut self.clients[number].attempt {
            attempt.tries += 1;
            attempt.place = place;
            attempt.ticket = ticket;
            attempt.request = request.unwrap_or_else(|| attempt.request.clone());
        }
        let delay = between(&mut world.rng, 200, 500 << tries.min(4));
        world.alarm(delay, ticket);
        Ok(None)
    }

    fn ask(&mut self, number: usize, world: &mut World) -> Result<(), Violation> {
        let Some(attempt) = &mut self.clients[number].attempt else {
            return Ok(());
        };
        self.last_ticket += 1;
        attempt.ticket = self.last_ticket;
        attempt.waiting = true;
        self.of_ticket.insert(attempt.ticket, number);
        let request = attempt.request.clone();
        let (ticket, place) = (attempt.ticket, attempt.place);
        if let Some(message) = request.message {
            world.watch.want(message, request.expires);
        }
        // Nobody there: a connection refused, after a while.
        let patience = match world.request(place, ticket, &request.bytes, request.message)? {
            true => self.patience.answer,
            false => 500,
        };
        world.alarm(patience, ticket);
        Ok(())
    }

    fn request(&mut self, number: usize, ask: Ask, world: &mut World) -> Asked {
        let now = world.seconds();
        self.clients[number]
            .wallet
            .request(ask, now, now + LIFETIME, &mut world.rng)
    }

    fn finish(
        &mut self,
        client: usize,
        result: Result<Response, Option<Refusal>>,
        world: &World,
    ) -> Option<Outcome> {
        let attempt = self.clients[client].attempt.take()?;
        Some(Outcome {
            client,
            ask: attempt.wish.ask,
            result,
            took: world.now() - attempt.since,
        })
    }
}

/// How long requests are valid, in seconds.
const LIFETIME: u64 = 240;

/// A member to ask: the first of a list, and then another one than the last if there is any.
fn choose(world: &mut World, places: &[u16], last: u16) -> u16 {
    let all: Vec<u16> = (1..=world.network.members).collect();
    if let (0, Some(first)) = (last, places.first()) {
        return *first;
    }
    let places = if places.is_empty() { &all } else { places };
    let others: Vec<u16> = places.iter().copied().filter(|place| *place != last).collect();
    match others.is_empty() {
        true => places[0],
        false => others[between(&mut world.rng, 0, others.len() as u64 - 1) as usize],
    }
}
