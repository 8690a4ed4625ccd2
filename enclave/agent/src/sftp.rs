//! An SFTP server (draft-ietf-secsh-filexfer-02, version 3) with OpenSSH's extensions.
//!
//! The C library, the image's name service and OpenSSH's own program have no part in it. Names are bytes, as on any Unix
//! file system.

mod attributes;
mod extended;
mod files;
mod handles;
mod names;
mod packet;

use bytes::{Bytes, BytesMut};
use jeju_agent_protocol::{Exit, OpenCode, OpenError, Reply, Request, Served, Stdin};
use tokio::runtime::Builder;

use handles::Handles;
use packet::{Answer, Fields, MAX_PACKET, Status, answer_to};

/// Answers that are sent at once, in bytes, while requests keep coming.
const BATCH: usize = 128 * 1024;

/// Serves the session on a thread of its own.
pub(crate) fn start(request: Request) {
    // Without a thread, the closure and the request in it are dropped: that refuses it.
    let started = std::thread::Builder::new()
        .name("sftp".to_owned())
        .stack_size(256 * 1024)
        .spawn(move || {
            let runtime = match Builder::new_current_thread().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let message = format!("no SFTP session can be served: {error}");
                    return request.refuse(OpenError::new(OpenCode::Failed, message));
                }
            };
            let Served { stdin, reply, .. } = request.accept();
            let code = match runtime.block_on(serve(stdin, &reply)) {
                Ok(()) => 0,
                Err(BadStream) => 1,
            };
            reply.eof();
            reply.exit(Exit::Code(code));
        });
    drop(started);
}

/// The client broke the framing, or is gone.
struct BadStream;

async fn serve(mut stdin: Stdin, reply: &Reply) -> Result<(), BadStream> {
    let mut session = Session::default();
    let mut input = BytesMut::new();
    let mut output = Vec::new();
    loop {
        while let Some(packet) = take_packet(&mut input)? {
            session.answer(&packet, &mut output)?;
            if output.len() >= BATCH {
                send(reply, &mut output).await?;
            }
        }
        if !output.is_empty() {
            send(reply, &mut output).await?;
        }
        match stdin.next().await {
            Some(data) => input.extend_from_slice(&data),
            None if input.is_empty() => return Ok(()),
            None => return Err(BadStream),
        }
    }
}

async fn send(reply: &Reply, output: &mut Vec<u8>) -> Result<(), BadStream> {
    let sent = reply.stdout(Bytes::from(core::mem::take(output))).await;
    sent.map_err(|_| BadStream)
}

fn take_packet(input: &mut BytesMut) -> Result<Option<BytesMut>, BadStream> {
    let Some((len, _)) = input.split_first_chunk() else {
        return Ok(None);
    };
    let len = u32::from_be_bytes(*len) as usize;
    if len == 0 || len > MAX_PACKET {
        return Err(BadStream);
    }
    if input.len() < 4 + len {
        return Ok(None);
    }
    let mut packet = input.split_to(4 + len);
    Ok(Some(packet.split_off(4)))
}

/// One client's session.
#[derive(Default)]
struct Session {
    greeted: bool,
    handles: Handles,
}

impl Session {
    fn answer(&mut self, packet: &[u8], output: &mut Vec<u8>) -> Result<(), BadStream> {
        let mut fields = Fields::new(packet);
        let kind = fields.u8().map_err(|_| BadStream)?;
        if !self.greeted {
            if kind != packet::INIT || fields.u32().is_err() {
                return Err(BadStream);
            }
            self.greeted = true;
            packet::put_version(output, &extended::OFFERED);
            return Ok(());
        }
        let id = fields.u32().map_err(|_| BadStream)?;
        answer_to(id, self.perform(kind, &mut fields), output);
        Ok(())
    }

    fn perform(&mut self, kind: u8, fields: &mut Fields<'_>) -> Result<Answer, Status> {
        match kind {
            packet::OPEN => self.handles.open(fields),
            packet::CLOSE => self.handles.close(fields),
            packet::READ => self.handles.read(fields),
            packet::WRITE => self.handles.write(fields),
            packet::FSTAT => self.handles.stat(fields),
            packet::FSETSTAT => self.handles.set_stat(fields),
            packet::OPENDIR => self.handles.open_directory(fields),
            packet::READDIR => self.handles.read_directory(fields),
            packet::LSTAT => files::stat(fields, false),
            packet::STAT => files::stat(fields, true),
            packet::SETSTAT => files::set_stat(fields, true),
            packet::REMOVE => files::remove(fields),
            packet::MKDIR => files::make_directory(fields),
            packet::RMDIR => files::remove_directory(fields),
            packet::REALPATH => files::real_path(fields),
            packet::RENAME => files::rename(fields),
            packet::READLINK => files::read_link(fields),
            packet::SYMLINK => files::make_symlink(fields),
            packet::EXTENDED => extended::perform(&self.handles, fields),
            _ => Err(Status::unsupported()),
        }
    }
}

#[cfg(test)]
mod tests;
