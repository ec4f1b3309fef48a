//! The journal's message ids: alerts match on them, and `journalctl -x` shows what `bearerd.catalog` says of each.

/// A device code is out and waits for a person.
pub const CODE_OUT: &str = "afb6c4dac88c417ead48632fe0a0c6e7";
/// Somebody has signed in.
pub const SIGNED_IN: &str = "77af6a9329de44bdb36a6d25c0eaf9ad";
/// Nobody is signed in, and nothing is under way.
pub const SIGN_IN_NEEDED: &str = "ad4e8d30e98949caaf6773f41c286af9";
/// The token cannot be renewed for now.
pub const REFRESH_FAILING: &str = "2f82646bcb9744fe9c5824ec6f74ea04";
/// What failed works again.
pub const RECOVERED: &str = "f68356f99c224a279e47fff3739605b6";
/// The server refuses the client.
pub const CLIENT_REFUSED: &str = "00588555bbd34461a636505e616a790a";
/// A stored sign-in cannot be used.
pub const STATE_DAMAGED: &str = "c00ca0db2d324b00b9fd172f0164ec4b";
/// A configuration has mistakes and is not used.
pub const CONFIGURATION_REJECTED: &str = "0bd6f1ec32874e7eb2ad5f208cc15241";
/// A caller got a token.
pub const TOKEN_ISSUED: &str = "59d3be180d3345fab879db4ee57779c9";
/// A caller wanted a token and may not have it.
pub const TOKEN_DENIED: &str = "fc973bf6d76b46ee84cef50c7f2d67b6";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_explains_every_id_and_no_other() {
        let catalog = include_str!("../../systemd/bearerd.catalog");
        let explained: Vec<&str> = catalog.lines().filter_map(|line| line.strip_prefix("-- ")).collect();
        let known = [
            CODE_OUT,
            SIGNED_IN,
            SIGN_IN_NEEDED,
            REFRESH_FAILING,
            RECOVERED,
            CLIENT_REFUSED,
            STATE_DAMAGED,
            CONFIGURATION_REJECTED,
            TOKEN_ISSUED,
            TOKEN_DENIED,
        ];
        assert_eq!(explained, known);
        for member in ["Subject: ", "Defined-By: bearerd", "Documentation: man:bearerd"] {
            assert_eq!(catalog.matches(member).count(), known.len(), "{member}");
        }
    }
}
