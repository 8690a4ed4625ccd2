//! A chain of blocks with the rules of `ComputeRental`. Its hours are short.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use jeju_chain::{
    Block, ChainText, GpuType, MAX_RENTAL_PAGE, Offer, RentalRecord, RentalResources, RentalStatus,
};
use tokio::time::Instant;

use super::steps::Steps;
use crate::rentals::backend::RentalId;
use crate::rentals::chain::{Blocks, ChainError, RentalChain};

pub const HOUR: u64 = 60;
pub const PROVIDER: [u8; 20] = [2; 20];
/// Seconds of a block, and blocks until one is final.
const BLOCK: u64 = 2;
const FINAL: u64 = 6;
const FIRST: u64 = 100;
const GENESIS: u64 = 1_900_000_000;
const START_WINDOW: u64 = 120;

#[derive(Clone)]
struct State {
    rentals: Vec<RentalRecord>,
    offer: Offer,
}

pub struct Chain {
    born: Instant,
    steps: Arc<Steps>,
    history: Mutex<Vec<(u64, State)>>,
    down: Mutex<bool>,
    /// Rentals that were read.
    pub reads: Mutex<Vec<RentalId>>,
}

pub fn offer() -> Offer {
    Offer {
        resources: RentalResources {
            gpu_type: GpuType::None,
            gpu_count: 0,
            gpu_vram_gb: 0,
            cpu_cores: 2,
            memory_gb: 4,
            storage_gb: 10,
            bandwidth_mbps: 100,
            tee_capable: false,
        },
        price_per_hour: 10,
        price_per_gpu_hour: 0,
        minimum_hours: 1,
        maximum_hours: 720,
        max_concurrent: 3,
        active: 0,
        ssh_enabled: true,
        docker_enabled: true,
    }
}

/// What a tenant orders.
pub struct Wish<'a> {
    pub user: [u8; 20],
    pub hours: u64,
    pub key: &'a str,
    pub image: &'a str,
    pub script: &'a str,
}

impl Chain {
    pub fn new(steps: Arc<Steps>) -> Arc<Self> {
        let state = State {
            rentals: Vec::new(),
            offer: offer(),
        };
        Arc::new(Self {
            born: Instant::now(),
            steps,
            history: Mutex::new(vec![(0, state)]),
            down: Mutex::new(false),
            reads: Mutex::default(),
        })
    }

    pub fn set_down(&self, down: bool) {
        *self.down.lock().unwrap() = down;
    }

    pub fn set_offer(&self, change: impl FnOnce(&mut Offer)) {
        self.change(|state| {
            change(&mut state.offer);
            Ok(())
        })
        .unwrap();
    }

    pub fn now(&self) -> u64 {
        self.newest().timestamp
    }

    /// The newest block leaves the chain, with all that was done in it.
    pub fn take_back(&self) {
        let mut history = self.history.lock().unwrap();
        assert!(history.len() > 1 && history.last().unwrap().0 > self.newest().number - FINAL);
        history.pop();
    }

    fn newest(&self) -> Block {
        self.block(FIRST + self.born.elapsed().as_secs() / BLOCK)
    }

    fn block(&self, number: u64) -> Block {
        Block {
            number,
            hash: [0; 32],
            timestamp: GENESIS + (number - FIRST + FINAL) * BLOCK,
        }
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut State) -> Result<T, &'static str>,
    ) -> Result<T, &'static str> {
        let mut history = self.history.lock().unwrap();
        let mut state = history.last().unwrap().1.clone();
        let done = change(&mut state)?;
        history.push((self.newest().number, state));
        Ok(done)
    }

    fn at(&self, block: Block) -> State {
        let history = self.history.lock().unwrap();
        let found = history.iter().rev().find(|(number, _)| *number <= block.number);
        found.unwrap().1.clone()
    }

    pub fn record(&self, id: RentalId) -> RentalRecord {
        let state = self.at(self.newest());
        state
            .rentals
            .into_iter()
            .find(|rental| rental.id == id)
            .expect("a rental")
    }

    pub fn create(&self, wish: Wish) -> RentalId {
        let now = self.now();
        self.change(|state| {
            let mut id = [0xaa; 32];
            id[..8].copy_from_slice(&(state.rentals.len() as u64 + 1).to_be_bytes());
            let text = |text: &str| ChainText::from(text.as_bytes());
            state.rentals.push(RentalRecord {
                id,
                user: wish.user,
                provider: PROVIDER,
                status: RentalStatus::Pending,
                start_time: 0,
                end_time: 0,
                paid: u128::from(wish.hours) * state.offer.price_per_hour,
                refunded: 0,
                ssh_public_key: text(wish.key),
                container_image: text(wish.image),
                startup_script: text(wish.script),
                ssh_host: text(""),
                ssh_port: 0,
                rate: state.offer.price_per_hour,
                start_deadline: now + START_WINDOW,
                ended_at: 0,
                fee_bps: 0,
            });
            Ok(id)
        })
        .unwrap()
    }

    fn rental(
        &self,
        id: RentalId,
        wanted: RentalStatus,
        change: impl FnOnce(&mut RentalRecord, &mut Offer, u64) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        let now = self.now();
        self.change(|state| {
            let rental = state.rentals.iter_mut().find(|rental| rental.id == id);
            let rental = rental.filter(|rental| rental.status == wanted);
            change(rental.ok_or("RentalNotActive")?, &mut state.offer, now)
        })
    }

    pub fn start(&self, id: RentalId, host: &str, port: u16) -> Result<(), &'static str> {
        self.rental(id, RentalStatus::Pending, |rental, offer, now| {
            if now > rental.start_deadline {
                return Err("RentalExpiredAt");
            }
            if offer.active >= offer.max_concurrent {
                return Err("ProviderAtCapacity");
            }
            offer.active += 1;
            rental.status = RentalStatus::Active;
            rental.start_time = now;
            rental.end_time = now + (rental.paid / rental.rate) as u64 * HOUR;
            rental.ssh_host = ChainText::from(host.as_bytes());
            rental.ssh_port = port;
            Ok(())
        })
    }

    pub fn extend(&self, id: RentalId, hours: u64) -> Result<(), &'static str> {
        self.rental(id, RentalStatus::Active, |rental, _, now| {
            if now >= rental.end_time {
                return Err("RentalExpiredAt");
            }
            rental.paid += u128::from(hours) * rental.rate;
            rental.end_time += hours * HOUR;
            Ok(())
        })
    }

    pub fn end(&self, id: RentalId, status: RentalStatus) -> Result<(), &'static str> {
        self.rental(id, RentalStatus::Active, |rental, offer, now| {
            offer.active -= 1;
            rental.ended_at = now.min(rental.end_time);
            rental.status = status;
            Ok(())
        })
    }

    pub fn cancel(&self, id: RentalId) -> Result<(), &'static str> {
        self.rental(id, RentalStatus::Pending, |rental, _, _| {
            rental.status = RentalStatus::Cancelled;
            Ok(())
        })
    }

    async fn ask(&self) -> Result<(), ChainError> {
        self.steps.step().await;
        match *self.down.lock().unwrap() {
            true => Err(ChainError("down".into())),
            false => Ok(()),
        }
    }
}

impl RentalChain for Chain {
    fn blocks(&self) -> BoxFuture<'_, Result<Blocks, ChainError>> {
        Box::pin(async move {
            self.ask().await?;
            let newest = self.newest();
            let finalized = Block {
                number: newest.number - FINAL,
                timestamp: newest.timestamp - FINAL * BLOCK,
                ..newest
            };
            Ok(Blocks { finalized, newest })
        })
    }

    fn newest_timestamp(&self) -> BoxFuture<'_, Result<u64, ChainError>> {
        Box::pin(async move { self.ask().await.map(|()| self.now()) })
    }

    fn listed(&self, at: Block, cursor: u64) -> BoxFuture<'_, Result<Vec<RentalId>, ChainError>> {
        Box::pin(async move {
            self.ask().await?;
            let rentals = self.at(at).rentals;
            let page = rentals.iter().skip(cursor as usize).take(MAX_RENTAL_PAGE);
            Ok(page.map(|rental| rental.id).collect())
        })
    }

    fn rental(&self, at: Block, rental: RentalId) -> BoxFuture<'_, Result<Option<RentalRecord>, ChainError>> {
        Box::pin(async move {
            self.ask().await?;
            self.reads.lock().unwrap().push(rental);
            Ok(self.at(at).rentals.into_iter().find(|known| known.id == rental))
        })
    }

    fn offer(&self, at: Block) -> BoxFuture<'_, Result<Option<Offer>, ChainError>> {
        Box::pin(async move {
            self.ask().await?;
            Ok(Some(self.at(at).offer))
        })
    }
}
