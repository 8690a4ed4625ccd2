//! The table of routes.

use std::time::Duration;

use super::*;

fn asked(kind: RouteKind, owner: u8) -> NewRoute {
    NewRoute {
        kind,
        owner: [owner; 20],
        rental: [owner; 32],
        target_host: "node.example".to_owned(),
        target_port: 22,
        expires_at: now_ms() + 3_600_000,
        inside: None,
    }
}

#[test]
fn only_its_owner_deletes_a_route() {
    let routes = Routes::new(10, None);
    let id = routes.create(asked(RouteKind::Ssh, 1)).unwrap().id;
    assert_eq!(routes.delete(&id, &[2; 20]), Err(RouteError::NotOwner));
    assert_eq!(routes.of_owner(&[1; 20]).len(), 1);
    assert!(routes.of_owner(&[2; 20]).is_empty());
    assert_eq!(routes.delete(&id, &[1; 20]), Ok(()));
    assert_eq!(routes.delete(&id, &[1; 20]), Err(RouteError::NotFound));
    assert_eq!(
        routes.open(&id, RouteKind::Ssh).unwrap_err(),
        RouteError::NotFound
    );
}

#[test]
fn the_table_is_bounded_for_each_account_and_in_all() {
    let routes = Routes::new(MAX_ROUTES_OF_OWNER + 1, None);
    for _ in 0..MAX_ROUTES_OF_OWNER {
        routes.create(asked(RouteKind::Ssh, 1)).unwrap();
    }
    let refused = |owner| routes.create(asked(RouteKind::Ssh, owner)).unwrap_err();
    assert_eq!(refused(1), RouteError::TooManyOfOwner);
    routes.create(asked(RouteKind::Ssh, 2)).unwrap();
    assert_eq!(refused(3), RouteError::Full);
    // What is over makes room.
    routes.renew(&[1; 32], 1);
    routes.create(asked(RouteKind::Ssh, 3)).unwrap();
    assert_eq!(routes.len(), 2);
    let over = NewRoute {
        expires_at: now_ms(),
        ..asked(RouteKind::Ssh, 4)
    };
    assert_eq!(routes.create(over).unwrap_err(), RouteError::Expired);
}

#[test]
fn each_tcp_route_has_a_port_of_its_own() {
    let none = Routes::new(10, None);
    assert_eq!(
        none.create(asked(RouteKind::Tcp, 1)).unwrap_err(),
        RouteError::NoPort
    );
    let routes = Routes::new(10, Some(30_000..=30_001));
    let first = routes.create(asked(RouteKind::Tcp, 1)).unwrap();
    let second = routes.create(asked(RouteKind::Tcp, 1)).unwrap();
    assert_eq!((first.port, second.port), (Some(30_000), Some(30_001)));
    assert_eq!(
        routes.create(asked(RouteKind::Tcp, 2)).unwrap_err(),
        RouteError::NoPort
    );
    assert_eq!(routes.create(asked(RouteKind::Ssh, 2)).unwrap().port, None);
    assert_eq!(routes.of_kind(RouteKind::Tcp).len(), 2);
    routes.delete(&first.id, &[1; 20]).unwrap();
    assert_eq!(
        routes.create(asked(RouteKind::Tcp, 2)).unwrap().port,
        Some(30_000)
    );
}

#[test]
fn sessions_are_counted_and_bounded() {
    let routes = Routes::new(10, None);
    let id = routes.create(asked(RouteKind::Ssh, 1)).unwrap().id;
    assert_eq!(
        routes.open(&id, RouteKind::Http).unwrap_err(),
        RouteError::OtherKind
    );
    let mut sessions: Vec<_> = (0..MAX_SESSIONS_OF_ROUTE)
        .map(|_| routes.open(&id, RouteKind::Ssh).unwrap())
        .collect();
    assert_eq!(
        routes.open(&id, RouteKind::Ssh).unwrap_err(),
        RouteError::TooManySessions
    );
    assert_eq!(routes.sessions(), MAX_SESSIONS_OF_ROUTE);
    sessions.pop();
    assert!(routes.open(&id, RouteKind::Ssh).is_ok());
    drop(sessions);
    assert_eq!(
        (routes.sessions(), routes.of_owner(&[1; 20])[0].sessions()),
        (0, 0)
    );
}

#[tokio::test]
async fn a_session_ends_when_its_route_is_deleted_or_its_rental_is_over() {
    let routes = Routes::new(10, None);
    let mut changes = routes.watch();
    let by_hand = routes.create(asked(RouteKind::Ssh, 1)).unwrap().id;
    let by_chain = routes.create(asked(RouteKind::Ssh, 2)).unwrap().id;
    let by_time = routes.create(asked(RouteKind::Ssh, 3)).unwrap().id;
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    let sessions = [by_hand, by_chain, by_time].map(|id| routes.open(&id, RouteKind::Ssh).unwrap());
    for session in &sessions {
        let goes_on = tokio::time::timeout(Duration::from_millis(20), session.over());
        assert!(goes_on.await.is_err());
    }
    routes.delete(&by_hand, &[1; 20]).unwrap();
    sessions[0].over().await;
    // An extension first, then the end.
    routes.renew(&[2; 32], now_ms() + 7_200_000);
    let goes_on = tokio::time::timeout(Duration::from_millis(20), sessions[1].over());
    assert!(goes_on.await.is_err());
    routes.renew(&[2; 32], 0);
    sessions[1].over().await;
    routes.renew(&[3; 32], now_ms() + 30);
    sessions[2].over().await;
    assert_eq!(
        routes.open(&by_time, RouteKind::Ssh).unwrap_err(),
        RouteError::Expired
    );
    assert!(routes.of_owner(&[3; 20]).is_empty());
    assert!(changes.has_changed().unwrap());
    assert_eq!(routes.rentals().len(), 1);
    routes.forget_expired();
    assert!(routes.is_empty());
}

#[test]
fn what_was_kept_comes_back_where_there_is_a_place_for_it() {
    let before = Routes::new(10, Some(30_000..=30_002));
    for kind in [
        RouteKind::Ssh,
        RouteKind::Http,
        RouteKind::Tcp,
        RouteKind::Tcp,
        RouteKind::Tcp,
    ] {
        before.create(asked(kind, 1)).unwrap();
    }
    let over = before.create(asked(RouteKind::Ssh, 2)).unwrap();
    over.rental_ends(1);
    let mut kept = before.all();
    // Twice the same port or id, and ports that make no sense.
    kept.extend(before.all());
    kept.push(KeptRoute {
        id: RouteId::random().unwrap(),
        ..before.of_kind(RouteKind::Tcp)[0].kept()
    });
    kept.push(KeptRoute {
        id: RouteId::random().unwrap(),
        port: None,
        ..before.of_kind(RouteKind::Tcp)[0].kept()
    });
    let after = Routes::new(10, Some(30_001..=30_002));
    after.restore(kept.clone());
    let of_kind = |kind| after.of_kind(kind).len();
    assert_eq!(
        [RouteKind::Ssh, RouteKind::Http, RouteKind::Tcp].map(of_kind),
        [1, 1, 2]
    );
    assert_eq!(
        after.create(asked(RouteKind::Tcp, 3)).unwrap_err(),
        RouteError::NoPort
    );
    let small = Routes::new(2, None);
    small.restore(kept);
    assert_eq!(small.len(), 2);
}

#[tokio::test]
async fn who_waits_for_routes_to_be_kept_waits_where_they_are() {
    let routes = Routes::new(10, None);
    routes.create(asked(RouteKind::Ssh, 1)).unwrap();
    routes.are_kept().await;
    routes.kept.send_replace(Some(0));
    let waits = tokio::time::timeout(Duration::from_millis(20), routes.are_kept());
    assert!(waits.await.is_err());
    routes.kept.send_replace(Some(1));
    routes.are_kept().await;
}
