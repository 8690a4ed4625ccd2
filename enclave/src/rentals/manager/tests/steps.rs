//! Counts what a manager does, and stops it for ever at a given step.

use std::sync::Mutex;

use tokio::sync::Notify;

#[derive(Default)]
pub struct Steps {
    taken: Mutex<(usize, Option<usize>)>,
    /// The step was reached.
    pub dies: Notify,
}

impl Steps {
    /// Between two things that a manager does.
    pub async fn step(&self) {
        tokio::task::yield_now().await;
        let dies = {
            let mut taken = self.taken.lock().unwrap();
            taken.0 += 1;
            taken.1 == Some(taken.0)
        };
        if dies {
            self.dies.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// Whoever takes this step from now on dies in it.
    pub fn die_at(&self, step: Option<usize>) {
        *self.taken.lock().unwrap() = (0, step);
    }

    pub fn taken(&self) -> usize {
        self.taken.lock().unwrap().0
    }
}
