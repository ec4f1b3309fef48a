//! The daemon's own object.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use zbus::{Connection, OwnedObjectPath, OwnedVariant, Variant, interface, message::Header};

use super::{door::Door, facts, objects, refusal::Refusal};

/// `io.github.bearerd.Bearerd1.Manager`.
pub struct Manager(pub Arc<Door>);

#[interface(name = "io.github.bearerd.Bearerd1.Manager", introspection_docs = false)]
impl Manager {
    #[zbus(out_args("access_token", "expires_in", "details"))]
    async fn get_token(
        &self,
        account: &str,
        options: BTreeMap<String, OwnedVariant>,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(String, u32, BTreeMap<Cow<'static, str>, Variant<'static>>), Refusal> {
        let caller = self.0.caller(connection, &header).await?;
        self.0.token(&caller, named(account), &options).await
    }

    #[zbus(out_args("path"))]
    async fn get_account(
        &self,
        name: &str,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, Refusal> {
        let caller = self.0.caller(connection, &header).await?;
        Ok(objects::path(&self.0.broker.find(&caller, named(name))?))
    }

    #[zbus(out_args("accounts"))]
    async fn list_accounts(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<(String, OwnedObjectPath, &'static str)>, Refusal> {
        let caller = self.0.caller(connection, &header).await?;
        let seen = self.0.broker.list(&caller).into_iter();
        Ok(seen.map(|sight| (sight.name.to_string(), objects::path(&sight.name), facts::state(&sight))).collect())
    }

    async fn reload(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Refusal> {
        let caller = self.0.caller(connection, &header).await?;
        self.0.reload(&caller).await
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn features(&self) -> &'static [&'static str] {
        &["device_grant", "refresh", "targets", "token_exchange", "dpop"]
    }
}

/// An empty name means the only account, or the one named `default`.
fn named(name: &str) -> Option<&str> {
    Some(name).filter(|name| !name.is_empty())
}
