//! A thread for each core, with a runtime and a listening socket of its own: a connection, its target and their timers stay
//! where it was accepted, and no thread has to wake another for them. The kernel shares connections out.

use std::io;
use std::net::SocketAddr;
use std::thread;

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::oneshot;

/// Connections that wait to be accepted, for each socket.
const BACKLOG: i32 = 1024;

/// Listening sockets of one address, one for each thread.
#[derive(Debug)]
pub struct Sockets(Vec<std::net::TcpListener>);

impl Sockets {
    /// One for each core.
    ///
    /// # Errors
    /// When the address can't be had.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        // Shared ports are shared with any process of this user: another gateway's is found out by one that shares with nobody.
        let address = listen(address, false)?.local_addr()?;
        let sockets = (0..count).map(|_| listen(address, true));
        sockets.collect::<io::Result<_>>().map(Self)
    }

    /// Where they listen.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.first().ok_or(io::ErrorKind::NotConnected)?.local_addr()
    }

    /// Runs what `serve` makes of each socket, on a thread of its own. Resolves when all have ended.
    pub(super) fn each<F>(
        self,
        serve: impl Fn(TcpListener) -> F + Clone + Send + 'static,
    ) -> io::Result<impl Future<Output = ()> + Send + 'static>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut all = Vec::new();
        for socket in self.0 {
            let serve = serve.clone();
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let (ended, end) = oneshot::channel();
            let run = move || {
                runtime.block_on(async {
                    if let Ok(listener) = TcpListener::from_std(socket) {
                        // As a task: the runtime wakes its outermost future by a system call each time.
                        let _ = tokio::spawn(serve(listener)).await;
                    }
                });
                // Whoever waited is gone when the process ends.
                let _ = ended.send(());
            };
            thread::Builder::new().name("passthrough".to_owned()).spawn(run)?;
            all.push(end);
        }
        Ok(async {
            for end in all {
                let _ = end.await;
            }
        })
    }
}

fn listen(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_not_shared_with_another_gateway() {
        let first = Sockets::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let second = Sockets::bind(first.address().unwrap());
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
