use std::collections::HashSet;

use tokio::time::sleep;

use super::*;
use crate::rentals::manager::tests::chain::Chain;
use crate::rentals::manager::tests::steps::Steps;
use crate::rentals::manager::tests::wish;

struct Reader {
    chain: Arc<Chain>,
    watch: Watch,
    view: Mutex<View>,
}

impl Reader {
    fn new() -> Self {
        let chain = Chain::new(Arc::new(Steps::default()));
        Self {
            watch: Watch::new(chain.clone()),
            view: Mutex::default(),
            chain,
        }
    }

    async fn make_final(&self) {
        sleep(Duration::from_secs(20)).await;
    }

    /// Reads once, and names what was read.
    async fn read(&self) -> (Result<bool, ChainError>, Vec<RentalId>) {
        self.chain.reads.lock().unwrap().clear();
        let more = self.watch.read(&self.view).await;
        (more, self.chain.reads.lock().unwrap().clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_list_is_read_once_and_then_no_more() {
    let reader = Reader::new();
    let old: Vec<RentalId> = (0..1500).map(|_| reader.chain.create(wish(1))).collect();
    for id in &old {
        reader.chain.cancel(*id).unwrap();
    }
    let live = reader.chain.create(wish(2));
    reader.make_final().await;
    let (more, reads) = reader.read().await;
    assert_eq!(
        (more, reads.len()),
        (Ok(true), 1024),
        "four pages, one reading each"
    );
    let view = lock(&reader.view).clone();
    assert!(
        !view.complete && !view.is_stranger(&[9; 32]),
        "not all is known yet"
    );
    let (more, reads) = reader.read().await;
    // The live one: at the finalised block and at the newest.
    assert_eq!((more, reads.len()), (Ok(false), 1500 - 1024 + 2));
    let view = lock(&reader.view).clone();
    assert!(view.complete && view.is_stranger(&[9; 32]) && !view.is_stranger(&live));
    assert_eq!(view.rentals.len(), KEPT + 1);
    assert!(view.rentals.contains_key(&old[1499]) && !view.rentals.contains_key(&old[0]));
    for _ in 0..3 {
        assert_eq!(reader.read().await, (Ok(false), vec![live]));
    }
}

#[tokio::test(start_paused = true)]
async fn of_very_many_that_wait_some_are_read_each_time_and_all_in_turn() {
    let reader = Reader::new();
    let all: HashSet<RentalId> = (0..300).map(|_| reader.chain.create(wish(1))).collect();
    reader.make_final().await;
    reader.read().await.0.unwrap();
    let mut seen = HashSet::new();
    for _ in 0..3 {
        sleep(Duration::from_secs(4)).await;
        let (_, reads) = reader.read().await;
        assert_eq!(reads.len(), PENDING_READS);
        seen.extend(reads);
    }
    assert_eq!(seen, all);
}

#[tokio::test(start_paused = true)]
async fn what_is_final_and_what_is_not_is_told_apart() {
    let reader = Reader::new();
    let id = reader.chain.create(wish(1));
    let known = || lock(&reader.view).rentals.get(&id).cloned();
    reader.read().await.0.unwrap();
    assert!(!known().unwrap().created_final);
    reader.make_final().await;
    reader.read().await.0.unwrap();
    assert!(known().unwrap().created_final);
    reader.chain.start(id, "host", 22).unwrap();
    reader.read().await.0.unwrap();
    assert_eq!(known().unwrap().record.status, RentalStatus::Active);
    reader.chain.end(id, RentalStatus::Completed).unwrap();
    reader.read().await.0.unwrap();
    let ended = known().unwrap();
    assert!(ended.seen_over && !ended.end_final);
    reader.make_final().await;
    reader.read().await.0.unwrap();
    assert!(known().unwrap().end_final);
    // And then it is read no more.
    assert_eq!(reader.read().await, (Ok(false), vec![]));
}

#[tokio::test(start_paused = true)]
async fn time_that_is_over_is_over_for_good_once_the_finalised_block_is_later() {
    let reader = Reader::new();
    let id = reader.chain.create(wish(1));
    let unstarted = reader.chain.create(wish(1));
    reader.make_final().await;
    reader.chain.start(id, "host", 22).unwrap();
    reader.read().await.0.unwrap();
    let known = |id| lock(&reader.view).rentals[&id].clone();
    let end = known(id).record.end_time;
    while reader.chain.now() < end {
        assert!(!known(id).seen_over);
        sleep(Duration::from_secs(1)).await;
        reader.read().await.0.unwrap();
    }
    assert!(known(id).seen_over && !known(id).end_final);
    reader.make_final().await;
    reader.read().await.0.unwrap();
    assert!(known(id).end_final);
    sleep(Duration::from_secs(120)).await;
    reader.read().await.0.unwrap();
    assert!(known(unstarted).end_final);
    // One that waits to be completed is read on, for the provider's wallet.
    let (_, reads) = reader.read().await;
    assert!(reads.contains(&id));
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_is_not_read_leaves_what_is_known_and_time_goes_on() {
    let reader = Reader::new();
    let id = reader.chain.create(wish(1));
    reader.make_final().await;
    reader.read().await.0.unwrap();
    let before = lock(&reader.view).now();
    reader.chain.set_down(true);
    sleep(Duration::from_secs(90)).await;
    assert!(reader.read().await.0.is_err());
    let view = lock(&reader.view).clone();
    assert_eq!(view.now(), before + 90);
    assert!(!view.is_fresh() && !view.rentals[&id].is_fresh());
    assert!(!view.is_stranger(&[9; 32]), "nothing is removed on old knowledge");
    assert_eq!(view.error, Some(ChainError("down".into())));
}
