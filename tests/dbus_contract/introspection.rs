//! The code and `dbus/io.github.bearerd.Bearerd1.xml` say the same.

use std::collections::BTreeMap;

use roxmltree::{Document, Node, ParsingOptions};
use zbus::fdo::IntrospectableProxy;

use crate::rig::{NAME, PATH, Rig, account};

#[derive(Debug, Default, PartialEq)]
struct Interface {
    /// By name: name, type and direction of each argument.
    methods: BTreeMap<String, Vec<[String; 3]>>,
    signals: BTreeMap<String, Vec<[String; 3]>>,
    /// By name: type, access, and how a change is told.
    properties: BTreeMap<String, [String; 3]>,
}

/// The interfaces of ours, wherever in the document they are.
fn interfaces(xml: &str) -> BTreeMap<String, Interface> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(xml, options).expect("XML");
    let nodes = document.descendants().filter(|node| node.has_tag_name("interface"));
    let ours = nodes.filter(|node| text(node, "name").starts_with(NAME));
    ours.map(|node| (text(&node, "name"), interface(&node))).collect()
}

fn interface(node: &Node<'_, '_>) -> Interface {
    let mut found = Interface::default();
    for member in node.children().filter(Node::is_element) {
        let name = text(&member, "name");
        match member.tag_name().name() {
            "method" => drop(found.methods.insert(name, arguments(&member))),
            "signal" => drop(found.signals.insert(name, arguments(&member))),
            "property" => drop(found.properties.insert(name, property(&member))),
            other => panic!("{other} in {}", text(node, "name")),
        }
    }
    found
}

fn arguments(member: &Node<'_, '_>) -> Vec<[String; 3]> {
    let arguments = member.children().filter(|child| child.has_tag_name("arg"));
    arguments.map(|arg| ["name", "type", "direction"].map(|attribute| text(&arg, attribute))).collect()
}

fn property(member: &Node<'_, '_>) -> [String; 3] {
    let emits = |child: &Node<'_, '_>| text(child, "name") == "org.freedesktop.DBus.Property.EmitsChangedSignal";
    let annotation = member.children().filter(Node::is_element).find(emits);
    let change = annotation.map_or("true".to_owned(), |annotation| text(&annotation, "value"));
    [text(member, "type"), text(member, "access"), change]
}

fn text(node: &Node<'_, '_>, attribute: &str) -> String {
    node.attribute(attribute).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_interfaces_are_those_of_the_contract() {
    let contract = include_str!("../../dbus/io.github.bearerd.Bearerd1.xml");
    let (_rig, client) = Rig::served(&account("one", "")).await;
    let mut served = BTreeMap::new();
    for path in [PATH.to_owned(), format!("{PATH}/accounts/one")] {
        let builder = IntrospectableProxy::builder(&client).destination(NAME).path(path);
        let xml = builder.build().await.expect("a proxy").introspect().await.expect("an answer");
        served.extend(interfaces(&xml));
    }
    let expected = interfaces(contract);
    assert_eq!(expected.len(), 2, "Manager and Account");
    assert_eq!(served, expected);
}
