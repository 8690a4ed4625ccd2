//! Images that no rental uses any more.

use super::life::{Registry, pull};
use super::*;

fn named(engine: &Engine) -> Vec<String> {
    let listed = engine.must(&["image", "ls", "--all", "--format", "{{.Repository}}:{{.Tag}}"]);
    let mut names: Vec<String> = listed
        .lines()
        .filter(|name| !name.starts_with("jeju-rentals:"))
        .map(|name| name.rsplit('/').next().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// As a node does: looks, fetches, looks again, makes a container, and removes it.
async fn rents(rig: &Rig, image: &str) {
    let looks = || Request::InspectImage(image.parse().unwrap());
    if call(rig, &looks(), None).await.0 != 200 {
        assert!(pull(rig, image).await.iter().all(|line| line.error.is_none()));
        expect(rig, looks(), None, 200).await;
    }
    let create = Request::CreateContainer(Box::new(spec(image, &["/bin/sleep", "1000"])));
    expect(rig, create, None, 201).await;
}

async fn ends(rig: &Rig) {
    expect(rig, Request::RemoveContainer(NAME), None, 204).await;
}

async fn becomes(engine: &Engine, wanted: &[&str]) {
    let start = Instant::now();
    while named(engine) != wanted {
        assert!(start.elapsed() < PATIENCE, "{:?}, not {wanted:?}", named(engine));
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_that_no_rental_uses_go_but_for_the_last_ones_and_for_what_is_not_ours() {
    let (engine, registry) = (Engine::start().await, Registry::start().await);
    let rig = Rig::new(|config| {
        config.docker = Some(engine.socket());
        config.docker_images = 1;
    })
    .await;
    let at = |name: &str| format!("{}/{name}", registry.address);
    for name in ["one:1", "two:1", "three:1", "operators:1"] {
        // Each an image of its own.
        engine.import_busybox(&at(name), &[&format!("LABEL name={name}")]);
        engine.must(&["push", &at(name)]);
        if name != "operators:1" {
            engine.must(&["rmi", &at(name)]);
        }
    }
    // Of the operator's own, and used once.
    rents(&rig, &at("operators:1")).await;
    ends(&rig).await;
    rents(&rig, &at("one:1")).await;
    ends(&rig).await;
    becomes(&engine, &["one:1", "operators:1"]).await;
    rents(&rig, &at("two:1")).await;
    ends(&rig).await;
    becomes(&engine, &["operators:1", "two:1"]).await;
    // Used stays, whatever was used after it; and what is used again is the last one.
    rents(&rig, &at("one:1")).await;
    ends(&rig).await;
    becomes(&engine, &["one:1", "operators:1"]).await;
    rents(&rig, &at("two:1")).await;
    ends(&rig).await;
    rents(&rig, &at("two:1")).await;
    // Another's container holds an image that is next to go, and another shim knows all of it from the engine.
    drop(rig);
    engine.must(&["create", "--name", "holds", &at("two:1"), "sh"]);
    let rig = Rig::new(|config| {
        config.docker = Some(engine.socket());
        config.docker_images = 0;
    })
    .await;
    ends(&rig).await;
    becomes(&engine, &["operators:1", "two:1"]).await;
    engine.must(&["rm", "holds"]);
    // A name that the operator gave keeps the image, and loses ours.
    engine.must(&["tag", &at("two:1"), "mine:1"]);
    rents(&rig, &at("three:1")).await;
    ends(&rig).await;
    becomes(&engine, &["mine:1", "operators:1"]).await;
}
