//! `bearerd proof`

use serde::Deserialize;

use super::{Exit, Failure, POST, Proof, account::meant, client::Client, path_of, screen::Screen};

/// The part of the answer that is printed.
#[derive(Deserialize)]
struct Made {
    proof: String,
}

/// Prints a proof of possession for one request (RFC 9449).
pub async fn run(client: &Client, arguments: Proof, screen: &Screen) -> Result<Exit, Failure> {
    let name = meant(client, arguments.account).await?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("htm", &arguments.htm).append_pair("htu", &arguments.htu);
    let optional = [("nonce", &arguments.nonce), ("ath", &arguments.ath)];
    query.extend_pairs(optional.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))));
    let answer = client.ask(POST, &path_of(&name, &format!("/dpop?{}", query.finish()))).await?;
    let Made { proof } = answer.read()?;
    if proof.is_empty() || !proof.bytes().all(|c| c.is_ascii_graphic()) {
        return Err(Failure::other("the proof has characters that no header can have, so it is not printed"));
    }
    screen.answer(&if arguments.header { format!("DPoP: {proof}") } else { proof })?;
    Ok(Exit::Success)
}
