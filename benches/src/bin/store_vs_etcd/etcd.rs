//! etcd under the same load, over as many connections as serve it best.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use etcd_client::{Client, WatchOptions};

use crate::load::{self, Figures};

/// Connections tried for the puts and gets of many clients; the best counts.
const CONNECTIONS: [usize; 3] = [1, 4, 16];
/// Streams that carry the watches, which is kinder to etcd than one each.
const STREAMS: usize = 20;

pub(crate) async fn figures(url: &str, time: Duration) -> Figures {
    let mut figures = Figures::new();
    for connections in CONNECTIONS {
        let clients = connect(url, connections).await;
        let time = time / 2;
        best(&mut figures, load::PUTS_64, puts(&clients, 64, time).await);
        best(&mut figures, load::GETS_64, gets(&clients, 64, time).await);
    }
    let clients = connect(url, 4).await;
    figures.insert(load::PUTS_1, puts(&clients, 1, time).await);
    figures.insert(load::DELIVERIES, deliveries(&clients, time).await);
    figures.extend(load::latencies(latency(&clients[0]).await));
    figures
}

fn best(figures: &mut Figures, name: &'static str, figure: f64) {
    let best = figures.entry(name).or_default();
    *best = best.max(figure);
}

async fn connect(url: &str, connections: usize) -> Arc<Vec<Client>> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Client::connect([url], None).await.expect("etcd answers"));
    }
    Arc::new(clients)
}

async fn puts(connections: &Arc<Vec<Client>>, clients: usize, time: Duration) -> f64 {
    let (connections, value) = (connections.clone(), load::value());
    load::rate(clients, time, move |client, n| {
        let mut kv = connections[client % connections.len()].kv_client();
        let value = value.clone();
        async move {
            kv.put(load::key(client, n), value, None).await.expect("a put");
        }
    })
    .await
}

async fn gets(connections: &Arc<Vec<Client>>, clients: usize, time: Duration) -> f64 {
    let connections = connections.clone();
    load::rate(clients, time, move |client, n| {
        let mut kv = connections[client % connections.len()].kv_client();
        async move {
            let read = kv.get(load::key(client, n), None).await.expect("a get");
            assert!(read.kvs().iter().all(|entry| entry.value().len() == 1024));
        }
    })
    .await
}

async fn deliveries(connections: &Arc<Vec<Client>>, time: Duration) -> f64 {
    let delivered = Arc::new(AtomicU64::new(0));
    let mut watchers = Vec::new();
    for stream in 0..STREAMS {
        let mut client = connections[stream % connections.len()].watch_client();
        let mut stream = client
            .watch("watched", Some(WatchOptions::new()))
            .await
            .expect("a watch");
        for _ in 1..load::WATCHERS / STREAMS {
            stream
                .watch("watched", Some(WatchOptions::new()))
                .await
                .expect("a watch");
        }
        let delivered = delivered.clone();
        watchers.push(tokio::spawn(async move {
            while let Some(message) = stream.message().await.expect("the stream goes on") {
                delivered.fetch_add(message.events().len() as u64, Relaxed);
            }
        }));
    }
    let writers = tokio::spawn({
        let (connections, value) = (connections.clone(), load::value());
        load::rate(load::WATCHED_WRITERS, time + time / 2, move |client, _| {
            let mut kv = connections[client % connections.len()].kv_client();
            let value = value.clone();
            async move {
                kv.put("watched", value, None).await.expect("a put");
            }
        })
    });
    let per_second = load::count(&delivered, time).await;
    writers.await.expect("the writers succeed");
    for watcher in watchers {
        watcher.abort();
    }
    per_second
}

async fn latency(client: &Client) -> Vec<Duration> {
    let mut watch = client
        .watch_client()
        .watch("latency", None)
        .await
        .expect("a watch");
    let mut times = Vec::new();
    for _ in 0..1000 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let started = Instant::now();
        let writer = tokio::spawn({
            let mut kv = client.kv_client();
            async move { kv.put("latency", load::value(), None).await }
        });
        loop {
            let message = watch
                .message()
                .await
                .expect("the stream goes on")
                .expect("a message");
            if !message.events().is_empty() {
                break;
            }
        }
        times.push(started.elapsed());
        writer.await.expect("the writer succeeds").expect("a put");
    }
    times
}
