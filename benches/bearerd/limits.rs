//! The bare servers: what hyper and zbus cost when nothing is decided, looked up or checked.

use std::{collections::HashMap, convert::Infallible, fs, path::Path};

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::UnixListener;
use zbus::{OwnedVariant, Variant, connection::Builder, interface};

/// Serves the reply, head and body, that the file has, until it is killed.
pub fn http(socket: &Path, reply: &Path) {
    let reply = fs::read_to_string(reply).expect("a reply");
    let (head, body) = reply.split_once("\r\n\r\n").expect("a head");
    let body = Bytes::from(body.to_owned());
    let mut template = Response::new(());
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(": ").expect("a header");
        // hyper writes these itself.
        if !["content-length", "date", "connection"].contains(&name.to_ascii_lowercase().as_str()) {
            let name: hyper::header::HeaderName = name.parse().expect("a name");
            template.headers_mut().insert(name, value.parse().expect("a value"));
        }
    }
    runtime().block_on(async {
        let listener = UnixListener::bind(socket).expect("a socket");
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let (template, body) = (template.clone(), body.clone());
            let service = service_fn(move |_: Request<Incoming>| {
                let answer = template.clone().map(|()| Full::new(body.clone()));
                async move { Ok::<_, Infallible>(answer) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
}

struct Bare {
    token: String,
}

#[interface(name = "io.github.bearerd.Bearerd1.Manager")]
impl Bare {
    #[expect(clippy::unused_async, reason = "as the daemon's own is")]
    async fn get_token(
        &self,
        _account: String,
        _options: HashMap<String, OwnedVariant>,
    ) -> (String, u32, HashMap<&'static str, Variant<'static>>) {
        let details = HashMap::from([
            ("token_type", Variant::from("Bearer")),
            ("expires_at", Variant::from(1_800_000_000_u64)),
            ("scope", Variant::from("openid offline")),
            ("account", Variant::from("box")),
        ]);
        (self.token.clone(), 86_000, details)
    }
}

/// Answers `GetToken` with the token that the file has, under a name of its own, until it is killed.
pub fn dbus(address: &str, token: &Path) {
    let token = fs::read_to_string(token).expect("a token");
    runtime().block_on(async {
        let bare = Bare { token };
        let connection = Builder::address(address)
            .serve_at("/io/github/bearerd/Bearerd1", bare)
            .name(NAME)
            .build()
            .await
            .expect("a place on the bus");
        println!("ready");
        connection.closed().await;
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// The bare service's name on the bus.
pub const NAME: &str = "io.github.bearerd.Bare";
