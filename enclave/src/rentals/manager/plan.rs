//! What to do about one rental: chain, engine and clock in, one action out. Nothing here waits, asks or remembers.

use jeju_chain::RentalStatus;

use crate::rentals::backend::ContainerState;

/// All that is known of a rental at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// What the contract says, at the newest block.
    pub status: RentalStatus,
    /// Whether its creation is in the finalised block.
    pub created_final: bool,
    /// Whether its end is: no block brings it back.
    pub end_final: bool,
    /// Whether its time is over: the paid time of one that was started, the time to start of one that wasn't.
    pub time_over: bool,
    /// Whether the chain was read after that: the tenant didn't pay for more in the last moment.
    pub seen_over: bool,
    /// Whether chain and offer were read a short time ago.
    pub fresh: bool,
    /// Whether this node will never make its container.
    pub refused: bool,
    /// Whether another node of the provider's account started it: its tenant logs in there.
    pub elsewhere: bool,
    /// Whether its script is at hand, or it has none.
    pub script: bool,
    /// Whether there is a place for one more container, or it has its own.
    pub place: bool,
    /// Whether the last try was so short a time ago that the next one waits.
    pub backing_off: bool,
    /// Whether its container was stopped because it took too much of the disk.
    pub disk_exceeded: bool,
    /// Whether it ended so long ago that its container needn't be kept until that is final.
    pub grace_over: bool,
    /// Its container.
    pub container: Seen,
    /// What is being done about it.
    pub job: Option<Job>,
}

/// A container, as the engine's list shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The engine can't be asked.
    Unknown,
    /// It has none.
    Absent,
    /// It has one.
    Here(ContainerState),
}

impl Seen {
    /// Whether it was complete, and started, once.
    pub fn has_run(self) -> bool {
        matches!(
            self,
            Seen::Here(ContainerState::Running | ContainerState::Exited { .. })
        )
    }
}

/// What takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Job {
    /// Make its container and start it.
    Create,
    /// Start its container again.
    Start,
    /// Stop it.
    Stop,
    /// Remove it.
    Remove,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Wait,
    /// Begin this.
    Begin(Job),
    /// Give up what is being done.
    GiveUp,
}

/// How a rental is, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Its creation isn't final yet.
    WaitingFinality,
    /// The script whose digest is on chain wasn't handed over.
    WaitingScript,
    /// As many rentals run as may.
    WaitingCapacity,
    /// Its image is being fetched.
    Pulling,
    /// Its container is being made or started, or will be.
    Starting,
    /// Its container runs, and it can be started on chain.
    Ready,
    /// The tenant can log in.
    Running,
    /// Its container took too much of the disk and was stopped, for good.
    DiskExceeded,
    /// The engine can't be asked.
    EngineUnavailable,
    /// Over.
    Ended,
    /// Another node of the provider's account runs it.
    Elsewhere,
    /// This node won't run it.
    Refused,
}

impl State {
    /// As documents write it.
    pub const fn name(self) -> &'static str {
        match self {
            State::WaitingFinality => "waiting_finality",
            State::WaitingScript => "waiting_script",
            State::WaitingCapacity => "waiting_capacity",
            State::Pulling => "pulling",
            State::Starting => "starting",
            State::Ready => "ready",
            State::Running => "running",
            State::DiskExceeded => "disk_exceeded",
            State::EngineUnavailable => "engine_unavailable",
            State::Ended => "ended",
            State::Elsewhere => "elsewhere",
            State::Refused => "refused",
        }
    }
}

/// What the provider's wallet should send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// `startRental`.
    Start,
    /// `completeRental`.
    Complete,
}

impl Facts {
    /// Whether the contract lets it be used, or started.
    fn alive(&self) -> bool {
        matches!(self.status, RentalStatus::Pending | RentalStatus::Active) && !self.time_over
    }

    fn started(&self) -> bool {
        self.status == RentalStatus::Active
    }

    /// Whether it has, or should have, a container. What was made for a tenant who uses it stays to the end, even where
    /// the node's rules have become others since.
    fn wanted(&self) -> bool {
        self.alive()
            && self.created_final
            && !self.elsewhere
            && (!self.refused || self.started() && self.container.has_run())
    }

    /// Whether the tenant may log in.
    pub fn access(&self) -> bool {
        self.started() && self.alive() && self.created_final && !self.elsewhere
    }

    /// Whether it takes one of the places for containers.
    pub fn takes_place(&self) -> bool {
        let makes = self.job == Some(Job::Create);
        let made = matches!(self.container, Seen::Here(_));
        self.alive() && !self.elsewhere && (makes || made || self.started())
    }

    /// What to do.
    pub fn action(&self) -> Action {
        match self.job {
            Some(Job::Create | Job::Start) if !self.wanted() => return Action::GiveUp,
            Some(_) => return Action::Wait,
            None => {}
        }
        let Seen::Here(state) = self.container else {
            return match self.container {
                Seen::Absent if self.may_create() => Action::Begin(Job::Create),
                _ => Action::Wait,
            };
        };
        if !self.wanted() {
            return self.end(state);
        }
        match state {
            ContainerState::Running if self.disk_exceeded => Action::Begin(Job::Stop),
            ContainerState::Running => Action::Wait,
            // What was being made when somebody died: it is made anew.
            ContainerState::Created if self.may_create() => Action::Begin(Job::Create),
            ContainerState::Exited { .. } if !self.disk_exceeded && !self.backing_off => {
                Action::Begin(Job::Start)
            }
            ContainerState::Created | ContainerState::Exited { .. } => Action::Wait,
            ContainerState::Dead => Action::Begin(Job::Remove),
        }
    }

    fn may_create(&self) -> bool {
        self.wanted()
            && self.fresh
            && self.script
            && (self.place || self.started())
            && !self.backing_off
            && !self.disk_exceeded
    }

    /// What to do about a container that nobody may use.
    fn end(&self, state: ContainerState) -> Action {
        if self.elsewhere && self.fresh {
            // Made here as well, before the other node's transaction was the first. Nobody ever logged in.
            return Action::Begin(Job::Remove);
        }
        if self.alive() && !self.refused {
            // The finalised block of a moment ago is older than that of a former life of this process.
            return Action::Wait;
        }
        // An end that this node counted, while it couldn't read that the tenant had paid for more, takes nothing away.
        let gone = self.alive() || self.end_final || self.fresh && self.grace_over;
        match state {
            _ if gone => Action::Begin(Job::Remove),
            // What runs isn't broken off in the moment that it takes to read whether the tenant paid for more.
            ContainerState::Running if self.seen_over || !self.fresh => Action::Begin(Job::Stop),
            _ => Action::Wait,
        }
    }

    /// What the provider's wallet should send now.
    pub fn next(&self) -> Option<Next> {
        let runs = self.container == Seen::Here(ContainerState::Running);
        match self.status {
            _ if !self.fresh => None,
            // The node that ran it says so at once; the others in its place, should it be gone.
            RentalStatus::Active
                if self.time_over && self.seen_over && (!self.elsewhere || self.grace_over) =>
            {
                Some(Next::Complete)
            }
            RentalStatus::Pending if self.wanted() && runs && !self.disk_exceeded && self.job.is_none() => {
                Some(Next::Start)
            }
            _ => None,
        }
    }

    /// How it is. `pulling`: whether what is being done has got as far as to fetch the image, and no farther.
    pub fn state(&self, pulling: bool) -> State {
        if !self.alive() {
            return State::Ended;
        }
        if !self.created_final {
            return State::WaitingFinality;
        }
        if self.elsewhere {
            return State::Elsewhere;
        }
        if !self.wanted() {
            return State::Refused;
        }
        if self.disk_exceeded {
            return State::DiskExceeded;
        }
        match (self.container, self.job) {
            (_, Some(Job::Create)) if pulling => State::Pulling,
            (_, Some(Job::Create | Job::Start)) => State::Starting,
            (Seen::Unknown, _) => State::EngineUnavailable,
            (Seen::Here(ContainerState::Running), _) if self.started() => State::Running,
            (Seen::Here(ContainerState::Running), _) => State::Ready,
            (Seen::Here(ContainerState::Exited { .. } | ContainerState::Dead), _) => State::Starting,
            _ if !self.script => State::WaitingScript,
            _ if !self.place && !self.started() => State::WaitingCapacity,
            _ => State::Starting,
        }
    }
}

#[cfg(test)]
mod tests;
