//! Talking with a shim, as an asynchronous program does.

use std::io;

use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::wire::{Inbox, Reply};

/// The next reply; none once the shim has closed the connection. Nothing is lost if it is dropped.
pub(crate) async fn reply(socket: &UnixStream, inbox: &mut Inbox) -> io::Result<Option<Reply>> {
    loop {
        if let Some(reply) = inbox.reply()? {
            return Ok(Some(reply));
        }
        socket.readable().await?;
        match socket.try_io(Interest::READABLE, || inbox.fill(socket)) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            // It ended without having read all that it was sent.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Sends a whole message.
pub(crate) async fn request(socket: &UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        socket.writable().await?;
        match socket.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
