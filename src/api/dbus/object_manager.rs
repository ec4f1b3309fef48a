//! The list of all account objects.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use zbus::{
    Connection, ObjectPath, Variant, fdo::ManagedObjects, interface, message::Header, names::InterfaceName,
    object_server::SignalEmitter,
};

use super::{account::AccountObject, door::Door, facts, objects, refusal::Refusal};

/// `org.freedesktop.DBus.ObjectManager`, in place of the library's own, which reads all properties for nobody in
/// particular: here a caller finds the accounts that it may see, as it may see them. The library sends the signals.
pub struct ObjectManager(pub Arc<Door>);

#[interface(name = "org.freedesktop.DBus.ObjectManager", introspection_docs = false)]
impl ObjectManager {
    #[zbus(out_args("objpath_interfaces_and_properties"))]
    async fn get_managed_objects(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<ManagedObjects, Refusal> {
        let caller = self.0.caller(connection, &header).await?;
        let mut objects = ManagedObjects::new();
        for sight in self.0.broker.list(&caller) {
            let properties = facts::properties(&sight).map_err(|error| Refusal::failed(error.to_string()))?;
            objects
                .insert(objects::path(&sight.name), HashMap::from([(AccountObject::interface().into(), properties)]));
        }
        Ok(objects)
    }

    #[zbus(signal)]
    async fn interfaces_added(
        emitter: &SignalEmitter<'_>,
        object_path: ObjectPath<'_>,
        interfaces_and_properties: HashMap<InterfaceName<'_>, HashMap<&str, Variant<'_>>>,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn interfaces_removed(
        emitter: &SignalEmitter<'_>,
        object_path: ObjectPath<'_>,
        interfaces: Cow<'_, [InterfaceName<'_>]>,
    ) -> zbus::Result<()>;
}
