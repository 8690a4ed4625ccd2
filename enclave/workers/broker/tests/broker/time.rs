//! A process that doesn't do what it must. The clock is turned by hand.

use std::time::Duration;

use tokio::time::Instant;

use super::*;

#[tokio::test(start_paused = true)]
async fn an_event_that_takes_too_long_is_given_up_before_the_process_is() {
    let begun = Instant::now();
    let mut channel = channel();
    let (mut call, id) = started(&mut channel, request(None)).await;
    assert_eq!(end_of(&mut call).await, code::TIMEOUT);
    assert!(begun.elapsed() >= Duration::from_millis(limits().wall_ms.into()));
    assert!(channel.other.take().await == ToProcess::Cancel(id));
    // Whatever held it up may end it.
    assert!(!channel.process.takes_events());
    channel.other.done(id).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(!channel.ended.is_finished());
    assert!(!channel.process.takes_events());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_does_not_stop_is_given_up() {
    let mut channel = channel();
    let (call, _) = started(&mut channel, request(None)).await;
    drop(call);
    let (mut other, _) = {
        // The order of the two messages is that in which they were sent.
        assert!(matches!(channel.other.take().await, ToProcess::Cancel(_)));
        started(&mut channel, scheduled()).await
    };
    assert_eq!(channel.ended.await.unwrap(), Ended::Hangs);
    assert!(!end_of(&mut other).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_takes_no_code_is_given_up() {
    let channel = channel();
    assert_eq!(
        channel.process.load(load("")).await.err().unwrap().code,
        code::CRASHED
    );
    assert_eq!(channel.ended.await.unwrap(), Ended::Hangs);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_does_not_read_is_given_up() {
    let channel = channel();
    // More than a socket takes, in messages that nothing else waits for.
    for worker in 0..200_000 {
        channel.process.unload(worker);
    }
    assert_eq!(channel.ended.await.unwrap(), Ended::Hangs);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_takes_nothing_and_is_given_up_if_it_stays() {
    let mut channel = channel();
    let (mut call, id) = started(&mut channel, request(None)).await;
    assert!(channel.process.takes_events());
    channel.other.give(ToBroker::Ends).await;
    channel.other.done(id).await;
    assert!(!end_of(&mut call).await.is_empty());
    assert!(!channel.process.takes_events());
    // Saying it again wins it no time.
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_secs(3)).await;
    channel.other.give(ToBroker::Ends).await;
    assert_eq!(channel.ended.await.unwrap(), Ended::Hangs);
    assert!(begun.elapsed() < Duration::from_secs(6));
}
