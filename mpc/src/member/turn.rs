//! One call of [`super::Member::handle`]: the time, random numbers, and what is to be done.

use std::collections::VecDeque;

use rand_core::{CryptoRng, CryptoRngCore, RngCore};

use super::Output;
use crate::message::{ExchangeId, Message, SessionId};
use crate::time::Interval;

/// What a timer is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TimerFor {
    Tend,
    Ceremony(SessionId),
    Job([u8; 32]),
    JobEnds([u8; 32]),
    Attempt(ExchangeId),
    RequestEnds([u8; 32]),
    Repair(ExchangeId),
    Policy(ExchangeId),
    TellMarks,
    KeepMarks,
    CatchUp,
}

pub(crate) struct Turn<'a> {
    pub(crate) now: Interval,
    rng: &'a mut dyn CryptoRngCore,
    outputs: Vec<Output>,
    local: VecDeque<Message>,
}

impl<'a> Turn<'a> {
    pub(super) fn new<R: RngCore + CryptoRng>(now: Interval, rng: &'a mut R) -> Self {
        Self {
            now,
            rng,
            outputs: Vec::new(),
            local: VecDeque::new(),
        }
    }

    pub(crate) fn rng(&mut self) -> &mut dyn CryptoRngCore {
        self.rng
    }

    /// A number below the bound, for choices that need no exactness.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.rng.next_u32() % bound.max(1)
    }

    pub(crate) fn push(&mut self, output: Output) {
        self.outputs.push(output);
    }

    /// A message of this member to itself.
    pub(super) fn local(&mut self, message: Message) {
        self.local.push_back(message);
    }

    pub(super) fn next_local(&mut self) -> Option<Message> {
        self.local.pop_front()
    }

    pub(super) fn finish(self) -> Vec<Output> {
        self.outputs
    }
}
