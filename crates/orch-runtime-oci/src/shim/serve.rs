//! Those attached to a container: they see what its program writes, and may write to it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use orch_core::runtime::LogStream;
use rustix::net::SendFlags;
use rustix::net::sockopt::{set_socket_send_buffer_size, set_socket_send_buffer_size_force};

use super::input::Input;
use crate::place::Place;
use crate::wire::{Inbox, Reply, Request, Stage};

/// How many may be attached at once.
const MOST: usize = 16;

/// How much waits, in the kernel, for one that does not read; more, and it is let go: the program must not wait for
/// it, and its log has all. What waits is still read after the container's end.
const WAITING: usize = 4 << 20;

pub(super) struct Server {
    listener: UnixListener,
    clients: Vec<Client>,
    /// Whether the input ends with the first who could write to it.
    stdin_once: bool,
}

struct Client {
    socket: UnixStream,
    inbox: Inbox,
    attached: bool,
    stdin: bool,
    /// Nothing more comes from it, or goes to it.
    over: bool,
}

impl Server {
    /// At the socket `sock` in this directory.
    pub(super) fn listen(dir: &Path, stdin_once: bool) -> io::Result<Self> {
        let listener = Place::open(dir)?.listen(crate::record::SOCKET)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            clients: Vec::new(),
            stdin_once,
        })
    }

    pub(super) fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Those of whom there may be something to read now, by their numbers. What is meant for a program that has not
    /// read what came before is left where it is.
    pub(super) fn readers(&self, input: &Input) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        let full = input.waiting().is_some();
        let clients = self.clients.iter().enumerate();
        let clients = clients.filter(move |(_, client)| !(client.over || client.stdin && full));
        clients.map(|(number, client)| (number, client.socket.as_fd()))
    }

    /// Takes those in who have knocked.
    pub(super) fn accept(&mut self) {
        while let Ok((socket, _)) = self.listener.accept() {
            let _ = set_socket_send_buffer_size_force(&socket, WAITING)
                // What the machine allows to anyone is better than nothing.
                .or_else(|_| set_socket_send_buffer_size(&socket, WAITING));
            let mut client = Client {
                socket,
                inbox: Inbox::default(),
                attached: false,
                stdin: false,
                over: false,
            };
            if self.clients.len() < MOST {
                self.clients.push(client);
            } else {
                let text = format!("{MOST} sessions are attached, and more cannot be");
                client.send(&Reply::Failed(Stage::Other, text).encode());
            }
        }
    }

    /// Takes in what one of them has sent.
    pub(super) fn read(&mut self, number: usize) {
        let client = &mut self.clients[number];
        match client.inbox.fill(&client.socket) {
            Ok(true) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Ok(false) | Err(_) => client.over = true,
        }
    }

    /// Does what they have asked for, as far as the program takes it.
    pub(super) fn work(&mut self, input: &mut Input) {
        let once = self.stdin_once;
        self.clients.retain_mut(|client| {
            loop {
                if client.stdin && input.waiting().is_some() {
                    return true;
                }
                match client.inbox.request() {
                    Ok(Some(request)) => client.act(request, input, once),
                    Ok(None) => break,
                    Err(_) => {
                        client.over = true;
                        break;
                    }
                }
            }
            if client.over && client.stdin && once {
                input.close();
            }
            !client.over
        });
    }

    /// Tells them that they have seen all.
    pub(super) fn finish(&mut self, code: i32) {
        for client in self.clients.iter_mut().filter(|client| client.attached) {
            client.send(&Reply::Exited(code).encode());
        }
    }

    /// Shows them what the program has written.
    pub(super) fn show(&mut self, stream: LogStream, bytes: &[u8]) {
        let mut attached = self
            .clients
            .iter_mut()
            .filter(|client| client.attached)
            .peekable();
        if attached.peek().is_none() {
            return;
        }
        let message = Reply::out(stream, bytes);
        for client in attached {
            client.send(&message);
        }
    }
}

impl Client {
    fn act(&mut self, request: Request, input: &mut Input, once: bool) {
        match request {
            Request::Attach { stdin } => {
                (self.attached, self.stdin) = (true, stdin);
                self.send(&Reply::Hello.encode());
            }
            Request::Stdin(bytes) if self.stdin => input.put(&bytes),
            Request::CloseStdin if self.stdin && once => input.close(),
            Request::Resize(size) if self.attached => input.resize(size),
            _ => {}
        }
    }

    fn send(&mut self, message: &[u8]) {
        if self.over {
            return;
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        if rustix::net::send(&self.socket, message, flags) != Ok(message.len()) {
            self.over = true;
            // It learns of it at once, also while what it has sent before waits to be read.
            let _ = self.socket.shutdown(std::net::Shutdown::Both);
        }
    }
}
