//! kill -9 at every step: whatever a manager was doing when it died, the next one comes to the same end.

use jeju_chain::RentalStatus;

use super::*;

/// Two rentals from creation to end, and a manager that dies when it takes the step `death` for the first time. Returns how
/// many steps were taken in the first life.
async fn play(death: Option<usize>) -> usize {
    let stage = Stage::new();
    stage.steps.die_at(death);
    let wallet = tokio::spawn(stage.clone().wallet());
    let guard = tokio::spawn(stage.clone().guard());
    let reaper = tokio::spawn({
        let stage = stage.clone();
        async move {
            stage.steps.dies.notified().await;
            stage.die().await;
            stage.steps.die_at(None);
            // The node's next boot.
            sleep(Duration::from_secs(3)).await;
            stage.live();
        }
    });
    let digest = script_digest();
    let scripted = stage.chain.create(Wish {
        script: &digest,
        ..wish(1)
    });
    let plain = stage.chain.create(wish(2));
    let tenant = tokio::spawn({
        let stage = stage.clone();
        async move {
            loop {
                sleep(Duration::from_secs(1)).await;
                if stage.show(scripted).await["scriptExpected"] == true {
                    let _ = stage.upload(scripted, SCRIPT).await;
                }
            }
        }
    });
    stage
        .until("both run", async |stage| {
            stage.may_log_in(scripted) && stage.may_log_in(plain)
        })
        .await;
    stage.chain.end(scripted, RentalStatus::Completed).unwrap();
    stage
        .until("all over", async |stage| {
            let over = |id| stage.chain.record(id).status == RentalStatus::Completed;
            over(scripted) && over(plain) && stage.engine.left() == 0
        })
        .await;
    let taken = stage.steps.taken();
    // Nothing comes back.
    sleep(Duration::from_secs(60)).await;
    assert_eq!(stage.engine.left(), 0, "an orphan");
    let starts = stage.engine.world.lock().unwrap().first_starts.clone();
    for id in [scripted, plain] {
        assert_eq!(starts.get(&id), Some(&1), "a rental has one container");
    }
    let record = stage.chain.record(plain);
    assert_eq!(
        record.ended_at, record.end_time,
        "the tenant had all that was paid for"
    );
    for task in [wallet, tenant, reaper] {
        task.abort();
    }
    assert!(!guard.is_finished(), "somebody was let in after the end");
    guard.abort();
    stage.die().await;
    taken
}

async fn die_at_each(first: usize) {
    let steps = play(None).await;
    assert!(steps > 200, "{steps}");
    for death in (first..=steps).step_by(2) {
        play(Some(death)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_dies_at_any_odd_step_is_followed_by_one_that_ends_what_it_began() {
    die_at_each(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_dies_at_any_even_step_is_followed_by_one_that_ends_what_it_began() {
    die_at_each(2).await;
}
