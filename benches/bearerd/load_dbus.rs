//! Callers of the D-Bus door, each with a connection of its own, all in one thread.

use std::{collections::HashMap, time::Instant};

use futures_util::future::join_all;
use zbus::{Connection, Variant, connection::Builder};

use super::load_http::Load;

/// Some callers that stay connected between rounds.
pub struct Callers {
    runtime: tokio::runtime::Runtime,
    connections: Vec<Connection>,
}

impl Callers {
    /// That many, connected to the bus.
    pub fn new(address: &str, callers: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let connections = runtime.block_on(join_all(
            (0..callers).map(|_| async { Builder::address(address).build().await.expect("a connection to the bus") }),
        ));
        Self { runtime, connections }
    }

    /// Every caller asks that service for that many tokens, one after the other.
    pub fn run(&self, service: &str, requests: usize) -> Load {
        let begun = Instant::now();
        let latencies = self.runtime.block_on(join_all(self.connections.iter().map(|connection| async move {
            let mut latencies = Vec::with_capacity(requests);
            for _ in 0..requests {
                let begun = Instant::now();
                let options: HashMap<&str, Variant<'_>> = HashMap::new();
                let reply = connection
                    .call_method(Some(service), PATH, Some(INTERFACE), "GetToken", &("", options))
                    .await
                    .expect("a token");
                assert!(reply.body().len() > 40, "not a token");
                latencies.push(begun.elapsed().as_secs_f64() * 1e6);
            }
            latencies
        })));
        let elapsed = begun.elapsed();
        let latencies: Vec<f64> = latencies.into_iter().flatten().collect();
        Load { throughput: latencies.len() as f64 / elapsed.as_secs_f64(), latencies }
    }
}

const PATH: &str = "/io/github/bearerd/Bearerd1";
const INTERFACE: &str = "io.github.bearerd.Bearerd1.Manager";
