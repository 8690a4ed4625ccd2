//! Engines and chains that fail, tenants that order what can't be had, containers that misbehave.

use super::engine::MISSING;
use super::*;

async fn refused(stage: &Stage, id: RentalId, code: &str) -> Value {
    stage
        .until(code, async |stage| {
            stage.show(id).await["refusal"]["code"] == code
        })
        .await;
    stage.show(id).await
}

#[tokio::test(start_paused = true)]
async fn what_the_node_does_not_run_is_named_and_never_made() {
    let mut rules = rules();
    rules.images = vec![IMAGE.into()];
    let stage = Stage::with(rules);
    tokio::spawn(stage.clone().wallet());
    let good = stage.chain.create(wish(1));
    for (wish, code) in [
        (
            Wish {
                image: "alpine:3",
                ..wish(2)
            },
            "image_not_allowed",
        ),
        (
            Wish {
                image: "--privileged",
                ..wish(2)
            },
            "image_invalid",
        ),
        (
            Wish {
                key: "ssh-rsa AAAA",
                ..wish(2)
            },
            "key_unsupported",
        ),
        (
            Wish {
                script: "sha256:12",
                ..wish(2)
            },
            "script_invalid",
        ),
    ] {
        let id = stage.chain.create(wish);
        let shown = refused(&stage, id, code).await;
        assert_eq!(
            (&shown["state"], &shown["refusal"]["final"]),
            (&"refused".into(), &true.into())
        );
        assert!(shown["next"].is_null());
        assert_eq!(stage.engine.state(id), None);
    }
    stage.until_state(good, "running").await;
    assert_eq!(stage.engine.world.lock().unwrap().containers.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn gpus_that_nobody_has_are_refused() {
    let stage = Stage::new();
    stage.chain.set_offer(|offer| offer.resources.gpu_count = 1);
    let id = stage.chain.create(wish(1));
    let shown = refused(&stage, id, "gpu_unavailable").await;
    assert_eq!(shown["state"], "refused");
    assert_eq!(stage.engine.world.lock().unwrap().pulls, 0);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_had_is_tried_some_times() {
    let stage = Stage::new();
    let image = MISSING;
    let id = stage.chain.create(Wish { image, ..wish(1) });
    let shown = refused(&stage, id, "image_unavailable").await;
    assert_eq!(shown["refusal"]["final"], false);
    assert_eq!(shown["refusal"]["message"], "image: not found ");
    let pulls = || stage.engine.world.lock().unwrap().pulls;
    let first = pulls();
    stage.until("another try", async |_| pulls() > first).await;
    assert!(pulls() < 10, "not without a pause");
    // A container that must be made again, of a rental that was started, is tried for as long as it lives.
    assert_eq!(stage.engine.state(id), None);
}

#[tokio::test(start_paused = true)]
async fn while_an_image_comes_its_progress_is_shown_and_a_cancelled_rental_ends_it() {
    let stage = Stage::new();
    stage.engine.world.lock().unwrap().slow = true;
    let id = stage.chain.create(wish(1));
    stage.until_state(id, "pulling").await;
    assert_eq!(
        stage.show(id).await["progress"],
        format!("fetching image {IMAGE}")
    );
    stage.chain.cancel(id).unwrap();
    stage
        .until("over", async |stage| {
            let shown = stage.show(id).await;
            shown["state"] == "ended" && shown["progress"].is_null()
        })
        .await;
    stage.engine.world.lock().unwrap().slow = false;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(stage.engine.state(id), None, "the fetching was given up");
}

#[tokio::test(start_paused = true)]
async fn without_the_chain_tenants_stay_until_their_end_and_nothing_begins() {
    let stage = Stage::new();
    tokio::spawn(stage.clone().wallet());
    let id = stage.chain.create(wish(1));
    stage.until_state(id, "running").await;
    let waiting = stage.chain.create(wish(2));
    stage.until_state(waiting, "waiting_finality").await;
    stage.chain.set_down(true);
    let end = stage.chain.record(id).end_time;
    stage
        .until("half the time", async |stage| stage.chain.now() + 20 > end)
        .await;
    assert!(stage.may_log_in(id));
    // The tenant pays for more, which the node can't see.
    stage.chain.extend(id, 1).unwrap();
    stage.until("the end", async |stage| !stage.may_log_in(id)).await;
    assert!(stage.chain.now() - end <= 4);
    sleep(Duration::from_secs(700)).await;
    let kept = stage.engine.state(id);
    assert!(
        matches!(kept, Some(ContainerState::Exited { .. })),
        "stopped and kept: {kept:?}"
    );
    assert_eq!(stage.engine.state(waiting), None);
    assert!(
        stage.show(id).await["next"].is_null(),
        "nobody completes what may have been extended"
    );
}

#[tokio::test(start_paused = true)]
async fn an_extension_that_was_not_seen_in_time_opens_the_door_again() {
    let stage = Stage::new();
    tokio::spawn(stage.clone().wallet());
    let id = stage.chain.create(wish(1));
    stage.until_state(id, "running").await;
    stage.chain.set_down(true);
    stage.chain.extend(id, 3).unwrap();
    stage.until("the end", async |stage| !stage.may_log_in(id)).await;
    sleep(Duration::from_secs(20)).await;
    stage.chain.set_down(false);
    stage.until("login", async |stage| stage.may_log_in(id)).await;
    stage.until_state(id, "running").await;
    assert_eq!(stage.engine.world.lock().unwrap().first_starts[&id], 1);
}

#[tokio::test(start_paused = true)]
async fn a_node_without_an_engine_says_so_and_goes_on_when_it_comes() {
    let stage = Stage::new();
    tokio::spawn(stage.clone().wallet());
    stage.engine.world.lock().unwrap().down = true;
    let id = stage.chain.create(wish(1));
    stage.until_state(id, "engine_unavailable").await;
    assert_eq!(stage.show(id).await["refusal"]["code"], "docker_unavailable");
    let Some(Answer::Document(resources)) = stage.ask(None, Action::Resources).await else {
        panic!("resources");
    };
    assert_eq!(resources["docker"]["reachable"], false);
    stage.engine.world.lock().unwrap().down = false;
    stage.until_state(id, "running").await;
    // dockerd dies: containers end with it, or live on; either way the tenant's comes back.
    stage.engine.world.lock().unwrap().down = true;
    stage.engine.change(id, |made| {
        made.container.state = ContainerState::Exited { code: 0 }
    });
    stage.until_state(id, "engine_unavailable").await;
    assert!(stage.may_log_in(id));
    stage.engine.world.lock().unwrap().down = false;
    stage.until_state(id, "running").await;
    assert_eq!(stage.engine.world.lock().unwrap().first_starts[&id], 1);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_ends_is_started_again_less_and_less_often() {
    let stage = Stage::new();
    tokio::spawn(stage.clone().wallet());
    let id = stage.chain.create(Wish { hours: 5, ..wish(1) });
    stage.until_state(id, "running").await;
    let mut starts = 0;
    for _ in 0..400 {
        if stage.engine.state(id) == Some(ContainerState::Running) {
            starts += 1;
            stage.engine.change(id, |made| {
                made.container.state = ContainerState::Exited { code: 137 }
            });
        }
        sleep(Duration::from_millis(500)).await;
    }
    assert!((5..=12).contains(&starts), "{starts} starts in 200 s");
    stage.until_state(id, "running").await;
}

#[tokio::test(start_paused = true)]
async fn a_container_that_was_lost_is_made_anew_and_one_that_died_half_made_too() {
    let stage = Stage::new();
    tokio::spawn(stage.clone().wallet());
    let id = stage.chain.create(wish(1));
    stage.until_state(id, "running").await;
    stage.engine.world.lock().unwrap().containers.clear();
    stage
        .until("anew", async |stage| {
            stage.engine.state(id) == Some(ContainerState::Running)
        })
        .await;
    stage
        .engine
        .change(id, |made| made.container.state = ContainerState::Dead);
    stage
        .until("anew", async |stage| {
            stage.engine.state(id) == Some(ContainerState::Running)
        })
        .await;
    stage.engine.change(id, |made| {
        made.container.state = ContainerState::Created;
        made.filled = false;
    });
    stage
        .until("anew", async |stage| {
            stage.engine.state(id) == Some(ContainerState::Running)
        })
        .await;
    assert_eq!(stage.engine.world.lock().unwrap().first_starts[&id], 4);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_is_too_full_stops_its_container_for_good() {
    let stage = Stage::new();
    tokio::spawn(stage.clone().wallet());
    let (id, other) = (stage.chain.create(wish(1)), stage.chain.create(wish(2)));
    stage.until_state(id, "running").await;
    stage.until_state(other, "running").await;
    stage.engine.change(other, |made| made.disk = 10_000_000_000);
    stage.engine.change(id, |made| made.disk = 10_000_000_001);
    stage
        .until("stopped", async |stage| {
            stage.engine.state(id) != Some(ContainerState::Running)
        })
        .await;
    let shown = stage.show(id).await;
    assert_eq!(
        (&shown["state"], &shown["refusal"]["code"]),
        (&"disk_exceeded".into(), &"disk_exceeded".into())
    );
    // A new process finds out without starting it.
    stage.die().await;
    stage.live();
    stage.until_state(id, "disk_exceeded").await;
    let seen = stage.engine.state(id);
    assert!(matches!(seen, Some(ContainerState::Exited { .. })), "{seen:?}");
    assert_eq!(
        stage.engine.state(other),
        Some(ContainerState::Running),
        "the neighbour goes on"
    );
    stage
        .until("gone", async |stage| stage.engine.state(id).is_none())
        .await;
    // Where the storage itself refuses what is too much, nothing is stopped.
    let stage = Stage::new();
    tokio::spawn(stage.clone().wallet());
    stage.engine.world.lock().unwrap().quota = true;
    let id = stage.chain.create(wish(1));
    stage.until_state(id, "running").await;
    stage.engine.change(id, |made| made.disk = 11_000_000_000);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(stage.show(id).await["state"], "running");
}

#[tokio::test(start_paused = true)]
async fn containers_of_nobody_go_once_the_chain_says_that_they_are_nobodys() {
    let stage = Stage::new();
    tokio::spawn(stage.clone().wallet());
    let id = stage.chain.create(wish(1));
    stage.until_state(id, "running").await;
    stage.die().await;
    let mut orphan = stage.engine.world.lock().unwrap().containers[&id].clone();
    let stranger = [0xee; 32];
    orphan.container.rental = stranger;
    stage
        .engine
        .world
        .lock()
        .unwrap()
        .containers
        .insert(stranger, orphan);
    stage.chain.set_down(true);
    stage.live();
    sleep(Duration::from_secs(300)).await;
    assert!(
        stage.engine.state(stranger).is_some(),
        "a chain that isn't read says nothing"
    );
    assert_eq!(stage.engine.state(id), Some(ContainerState::Running));
    stage.chain.set_down(false);
    stage
        .until("gone", async |stage| stage.engine.state(stranger).is_none())
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_network_whose_container_is_gone_goes_as_well() {
    let stage = Stage::new();
    tokio::spawn(stage.clone().wallet());
    let id = stage.chain.create(wish(1));
    stage.until_state(id, "running").await;
    let nobodys = [0xee; 32];
    let has = |stage: &Stage, id| stage.engine.world.lock().unwrap().networks.contains(&id);
    stage.engine.world.lock().unwrap().networks.insert(nobodys);
    stage.until("gone", async |stage| !has(stage, nobodys)).await;
    assert!(has(&stage, id), "that of a container stays");
    assert_eq!(stage.engine.state(id), Some(ContainerState::Running));
}
