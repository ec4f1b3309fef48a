//! How the server behaves; every field may also be changed while it runs.

use std::time::Duration;

/// The behaviour of the server. The default is Kinde's, with an interval of one second to keep tests short.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// The only client that is accepted; `None` accepts any, and none (Kinde's default application).
    pub client_id: Option<String>,
    /// Seconds between two polls.
    pub interval: u64,
    /// Seconds that a device code lives.
    pub code_lifetime: u64,
    /// Seconds that an access token lives; `None` grants without end and leaves `expires_in` out.
    pub token_lifetime: Option<u64>,
    /// What the metadata document says, and where it is.
    pub discovery: Discovery,
    /// A refresh before the end returns the access token there is (and rotates all the same), as Kinde documents it.
    pub returns_same_token: bool,
    /// How long a spent refresh token is still accepted.
    pub rotation_grace: Duration,
    /// Every code is approved as it is issued.
    pub auto_approve: bool,
    /// Whoever approves: the `sub` of the ID tokens that come with the scope `openid`.
    pub subject: String,
    /// Serves `POST /test/approve` and `POST /test/deny`, for shell scripts.
    pub test_hooks: bool,
    /// Parameters a client may repeat (RFC 8707 allows it for `resource` alone).
    pub repeatable: Vec<&'static str>,
}

/// The metadata document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// OpenID Connect's place, with `device_authorization_endpoint`.
    Full,
    /// OpenID Connect's place, without `device_authorization_endpoint`.
    WithoutDeviceEndpoint,
    /// The place of RFC 8414 alone.
    OAuth,
    /// There is none.
    Missing,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: 0,
            client_id: None,
            interval: 1,
            code_lifetime: 600,
            token_lifetime: Some(86_400),
            discovery: Discovery::Full,
            returns_same_token: false,
            rotation_grace: Duration::ZERO,
            auto_approve: false,
            subject: "kp_0123456789abcdef".to_owned(),
            test_hooks: false,
            repeatable: vec!["resource"],
        }
    }
}
