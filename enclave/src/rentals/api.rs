//! Answers of the HTTP API. What is on chain is everybody's; what goes on inside a container is its renter's.

mod documents;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::backend::{BackendError, ContainerBackend, RentalId};
use super::manager::board::{Board, Rental};
use super::manager::order::{Order, Script};
use super::manager::plan::Job;
use crate::ipc::rentals::{Action, Answer, Call, FrontSocket, MAX_FRAME, MAX_SCRIPT, Refusal};

/// Commands and logs that the engine is asked for at the same time.
const AT_ONCE: usize = 32;
/// Of those, one rental's.
const OF_ONE_RENTAL: usize = 4;
/// Most arguments of a command, and bytes of all: with what the backend puts in front, as many as the filters take.
const MAX_ARGUMENTS: usize = 250;
const MAX_COMMAND: usize = 16_000;
/// How long a command may run, and a log may take. The front waits for 90 s.
const COMMAND_WAIT: Duration = Duration::from_secs(60);
const LOGS_WAIT: Duration = Duration::from_secs(30);
/// Most bytes of a text in an answer, as JSON writes it.
const MAX_TEXT: usize = MAX_FRAME / 3;

/// The API of the rentals role.
pub struct Api {
    board: Arc<Board>,
    backend: Arc<dyn ContainerBackend>,
    slots: Arc<Semaphore>,
    of_rental: Mutex<HashMap<RentalId, Arc<Semaphore>>>,
}

impl Api {
    /// Answers from this board and this engine.
    pub fn new(board: Arc<Board>, backend: Arc<dyn ContainerBackend>) -> Self {
        Self {
            board,
            backend,
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            of_rental: Mutex::default(),
        }
    }

    /// Answers the front's calls until it is gone.
    pub async fn serve(self: Arc<Self>, mut front: FrontSocket) {
        while let Some(asked) = front.next().await {
            let api = self.clone();
            tokio::spawn(async move {
                let answer = api.answer(&asked.call).await;
                asked.answer(&answer).await;
            });
        }
    }

    /// Answers a call.
    pub async fn answer(&self, call: &Call) -> Answer {
        let account = call.account.map(|account| account.0);
        let answered = match &call.action {
            Action::Resources => Ok(Answer::Document(documents::resources(&self.board))),
            Action::List => self.list(account),
            Action::Show(rental) => self.show(rental.0, account),
            Action::Logs { rental, tail } => self.logs(rental.0, account, *tail).await,
            Action::Metrics(rental) => self.metrics(rental.0, account),
            Action::Exec { rental, command } => self.exec(rental.0, account, command).await,
            Action::Script { rental, script } => self.script(rental.0, account, script),
        };
        answered.unwrap_or_else(|refused| refused)
    }

    fn list(&self, account: Option<[u8; 20]>) -> Result<Answer, Answer> {
        self.chain_was_read()?;
        Ok(Answer::Document(documents::list(&self.board, account)))
    }

    fn show(&self, id: RentalId, account: Option<[u8; 20]>) -> Result<Answer, Answer> {
        let rental = self.known(id)?;
        Ok(Answer::Document(documents::show(&self.board, &rental, account)))
    }

    fn metrics(&self, id: RentalId, account: Option<[u8; 20]>) -> Result<Answer, Answer> {
        let rental = self.own(id, account)?;
        let metrics = documents::metrics(&self.board, &rental);
        match metrics {
            Value::Null => Err(Answer::refused(
                Refusal::NotRunning,
                "The rental's container wasn't measured yet.",
            )),
            metrics => Ok(Answer::Document(json!({ "metrics": metrics }))),
        }
    }

    async fn logs(&self, id: RentalId, account: Option<[u8; 20]>, tail: u32) -> Result<Answer, Answer> {
        let rental = self.own(id, account)?;
        // A container that was stopped has a log too.
        if rental.container.is_none() {
            return Err(not_running());
        }
        let _slot = self.slot(id)?;
        let logs = timeout(LOGS_WAIT, self.backend.logs(id, tail)).await;
        let logs = logs.unwrap_or(Err(BackendError::TimedOut)).map_err(refused)?;
        Ok(Answer::Text(end_of(&logs, MAX_TEXT).to_owned()))
    }

    async fn exec(
        &self,
        id: RentalId,
        account: Option<[u8; 20]>,
        command: &[String],
    ) -> Result<Answer, Answer> {
        let rental = self.own(id, account)?;
        // Before the paid time and after it nobody runs anything.
        if !rental.facts.access() {
            return Err(not_running());
        }
        let invalid = |message| Answer::refused(Refusal::CommandInvalid, message);
        let length: usize = command.iter().map(|part| part.len() + 1).sum();
        if command.first().is_none_or(String::is_empty) {
            return Err(invalid("A command is a program and its arguments."));
        }
        if command.len() > MAX_ARGUMENTS || length > MAX_COMMAND {
            let message = format!("A command has at most {MAX_ARGUMENTS} parts and {MAX_COMMAND} bytes.");
            return Err(Answer::refused(Refusal::CommandInvalid, message));
        }
        if command.iter().any(|part| part.contains('\0')) {
            return Err(invalid("A command holds no zero bytes."));
        }
        let _slot = self.slot(id)?;
        let run = timeout(COMMAND_WAIT, self.backend.exec(id, command.to_vec())).await;
        let output = run
            .map_err(|_| {
                let message = format!("The command didn't end within {} s.", COMMAND_WAIT.as_secs());
                Answer::refused(Refusal::CommandTimedOut, message)
            })?
            .map_err(command_refused)?;
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let (out, err) = (
            beginning_of(&stdout, MAX_TEXT),
            beginning_of(&stderr, MAX_TEXT / 2),
        );
        let cut = out.len() < stdout.len() || err.len() < stderr.len();
        Ok(Answer::Document(json!({
            "exitCode": output.exit_code,
            "stdout": out,
            "stderr": err,
            "truncated": output.truncated || cut,
        })))
    }

    fn script(&self, id: RentalId, account: Option<[u8; 20]>, script: &str) -> Result<Answer, Answer> {
        let rental = self.own(id, account)?;
        let unexpected = |message| Err(Answer::refused(Refusal::ScriptNotExpected, message));
        let digest = match rental.order() {
            Ok(Order {
                script: script @ Script::Digest(_),
                ..
            }) => script,
            _ => return unexpected("The rental has no script, or it is on chain itself."),
        };
        let facts = &rental.facts;
        let made = facts.container.has_run();
        if facts.time_over || made || facts.job == Some(Job::Create) {
            return unexpected("The rental's container has its script, or the rental is over.");
        }
        let mismatch = |message| Answer::refused(Refusal::ScriptMismatch, message);
        let script = STANDARD
            .decode(script)
            .ok()
            .filter(|script| script.len() <= MAX_SCRIPT);
        let script = script.ok_or_else(|| mismatch("The script can't be read."))?;
        if !digest.is(&script) {
            return Err(mismatch("The script's SHA-256 digest isn't the one on chain."));
        }
        if !self.board.keep_script(id, script.into()) {
            return Err(Answer::refused(
                Refusal::Busy,
                "Too many scripts wait for their containers.",
            ));
        }
        Ok(Answer::Document(json!({ "accepted": true })))
    }

    fn known(&self, id: RentalId) -> Result<Rental, Answer> {
        match self.board.rental(&id) {
            Some(rental) => Ok(rental),
            None => {
                self.chain_was_read()?;
                let message = "The node has no such rental, or it ended long ago.";
                Err(Answer::refused(Refusal::Unknown, message))
            }
        }
    }

    fn own(&self, id: RentalId, account: Option<[u8; 20]>) -> Result<Rental, Answer> {
        let Some(account) = account else {
            let message = "This is the renter's: sign the request with its wallet.";
            return Err(Answer::refused(Refusal::Unauthorised, message));
        };
        let rental = self.known(id)?;
        match rental.known.record.user == account {
            true => Ok(rental),
            false => Err(Answer::refused(
                Refusal::NotRenter,
                "This is another account's rental.",
            )),
        }
    }

    fn chain_was_read(&self) -> Result<(), Answer> {
        let view = self.board.view();
        match (&view.read, &view.error) {
            (None, Some(error)) => Err(Answer::refused(
                Refusal::ChainUnavailable,
                format!("The chain can't be read: {error}."),
            )),
            (None, None) => Err(Answer::refused(
                Refusal::ChainUnavailable,
                "The chain wasn't read yet.",
            )),
            (Some(_), _) => Ok(()),
        }
    }

    /// A place for something that the engine is asked.
    fn slot(&self, id: RentalId) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), Answer> {
        let own = {
            let mut of_rental = self.of_rental.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody uses now.
            of_rental.retain(|_, slots| Arc::strong_count(slots) > 1);
            of_rental
                .entry(id)
                .or_insert_with(|| Arc::new(Semaphore::new(OF_ONE_RENTAL)))
                .clone()
        };
        let own = own.try_acquire_owned();
        let all = self.slots.clone().try_acquire_owned();
        match (own, all) {
            (Ok(own), Ok(all)) => Ok((own, all)),
            _ => Err(Answer::refused(Refusal::Busy, "Too much is asked at once.")),
        }
    }
}

fn not_running() -> Answer {
    Answer::refused(Refusal::NotRunning, "The rental has no running container.")
}

fn refused(error: BackendError) -> Answer {
    match error {
        BackendError::NotFound | BackendError::NotRunning => not_running(),
        error => Answer::refused(Refusal::DockerUnavailable, error.to_string()),
    }
}

fn command_refused(error: BackendError) -> Answer {
    match error {
        BackendError::TimedOut => Answer::refused(
            Refusal::CommandTimedOut,
            "The container engine did not answer in time.",
        ),
        BackendError::Stopped(seconds) => Answer::refused(
            Refusal::CommandTimedOut,
            format!(
                "The command didn't end within {seconds} s and was stopped, with all that it had started."
            ),
        ),
        BackendError::Refused(reason) => Answer::refused(Refusal::CommandInvalid, reason),
        error => refused(error),
    }
}

/// Bytes that JSON takes for a character.
fn written(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        c if (c as u32) < 0x20 => 6,
        c => c.len_utf8(),
    }
}

/// As much of a text's beginning as fits.
fn beginning_of(text: &str, most: usize) -> &str {
    let mut sum = 0;
    let end = text.char_indices().find(|(_, c)| {
        sum += written(*c);
        sum > most
    });
    &text[..end.map_or(text.len(), |(at, _)| at)]
}

/// As much of a text's end as fits.
fn end_of(text: &str, most: usize) -> &str {
    let mut sum = 0;
    let last = text.char_indices().rev().find(|(_, c)| {
        sum += written(*c);
        sum > most
    });
    &text[last.map_or(0, |(at, c)| at + c.len_utf8())..]
}

#[cfg(test)]
mod tests;
