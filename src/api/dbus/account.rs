//! One object an account.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use zbus::{
    Connection, OwnedVariant, Variant, interface, message::Header, names::InterfaceName, object_server::Interface,
};

use super::{door::Door, facts, options, refusal::Refusal};
use crate::{account::AccountName, broker::Sight, platform::clock};

/// `io.github.bearerd.Bearerd1.Account`. Each property is read by the rights of the caller: a getter that fails is left
/// out of `GetAll`, and `InterfacesAdded` has what an account shows to anyone.
pub struct AccountObject {
    door: Arc<Door>,
    name: AccountName,
}

impl AccountObject {
    /// The object of that account.
    pub fn new(door: Arc<Door>, name: AccountName) -> Self {
        Self { door, name }
    }

    /// The name of the interface.
    pub fn interface() -> InterfaceName<'static> {
        <Self as Interface>::name()
    }

    async fn sight(&self, connection: &Connection, header: Option<Header<'_>>) -> Result<Sight, Refusal> {
        let reader = self.door.reader(connection, header.as_ref()).await?;
        Ok(self.door.broker.look(&reader, Some(self.name.as_str()))?)
    }
}

#[interface(name = "io.github.bearerd.Bearerd1.Account", introspection_docs = false)]
impl AccountObject {
    #[zbus(out_args("access_token", "expires_in", "details"))]
    async fn get_token(
        &self,
        options: BTreeMap<String, OwnedVariant>,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(String, u32, BTreeMap<Cow<'static, str>, Variant<'static>>), Refusal> {
        let caller = self.door.caller(connection, &header).await?;
        self.door.token(&caller, Some(self.name.as_str()), &options).await
    }

    #[zbus(out_args("proof", "details"))]
    async fn sign_proof(
        &self,
        htm: &str,
        htu: &str,
        options: BTreeMap<String, OwnedVariant>,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(String, HashMap<&'static str, Variant<'static>>), Refusal> {
        let caller = self.door.caller(connection, &header).await?;
        let request = options::proof_request(htm, htu, &options)?;
        let proof = self.door.broker.prove(&caller, Some(self.name.as_str()), request);
        let answer = self.door.answer(&self.name, proof).await?;
        let details = facts::proof(&answer);
        Ok((answer.proof, details))
    }

    #[zbus(out_args("prompt"))]
    async fn login(
        &self,
        options: BTreeMap<String, OwnedVariant>,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<HashMap<&'static str, Variant<'static>>, Refusal> {
        let caller = self.door.caller(connection, &header).await?;
        let replace = options::replace(&options)?;
        let login = self.door.broker.login(&caller, Some(self.name.as_str()), replace);
        let (account, prompt) = self.door.answer(&self.name, login).await?;
        Ok(facts::prompt(&account, &prompt, clock::now()))
    }

    async fn cancel_login(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Refusal> {
        let caller = self.door.caller(connection, &header).await?;
        let cancel = self.door.broker.cancel_login(&caller, Some(self.name.as_str()));
        self.door.answer(&self.name, cancel).await
    }

    async fn logout(
        &self,
        options: BTreeMap<String, OwnedVariant>,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Refusal> {
        let caller = self.door.caller(connection, &header).await?;
        options::none(&options)?;
        let logout = self.door.broker.logout(&caller, Some(self.name.as_str()));
        self.door.answer(&self.name, logout).await
    }

    async fn refresh(
        &self,
        options: BTreeMap<String, OwnedVariant>,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Refusal> {
        let caller = self.door.caller(connection, &header).await?;
        options::none(&options)?;
        let refresh = self.door.broker.refresh(&caller, Some(self.name.as_str()));
        self.door.answer(&self.name, refresh).await?;
        Ok(())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    async fn name(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Option<Header<'_>>,
    ) -> Result<String, Refusal> {
        Ok(self.sight(connection, header).await?.name.to_string())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    async fn issuer(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Option<Header<'_>>,
    ) -> Result<String, Refusal> {
        Ok(self.sight(connection, header).await?.issuer)
    }

    #[zbus(property)]
    async fn state(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Option<Header<'_>>,
    ) -> Result<&'static str, Refusal> {
        Ok(facts::state(&self.sight(connection, header).await?))
    }

    #[zbus(property)]
    async fn state_reason(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Option<Header<'_>>,
    ) -> Result<(&'static str, String), Refusal> {
        Ok(facts::state_reason(&self.sight(connection, header).await?))
    }

    #[zbus(property)]
    async fn expires_at(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Option<Header<'_>>,
    ) -> Result<u64, Refusal> {
        Ok(facts::expires_at(&self.sight(connection, header).await?))
    }

    #[zbus(property)]
    async fn scopes(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Option<Header<'_>>,
    ) -> Result<Vec<String>, Refusal> {
        Ok(facts::scopes(&self.sight(connection, header).await?))
    }

    #[zbus(property(emits_changed_signal = "invalidates"))]
    async fn prompt(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Option<Header<'_>>,
    ) -> Result<HashMap<&'static str, Variant<'static>>, Refusal> {
        Ok(facts::visible_prompt(&self.sight(connection, header).await?))
    }
}
