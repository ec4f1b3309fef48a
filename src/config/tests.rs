use super::*;

fn load(text: &str) -> Result<Settings, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("bearerd.toml");
    fs::write(&path, text).expect("a file");
    Settings::load(&path).map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

fn refused(text: &str) -> String {
    load(text).err().unwrap_or_else(|| panic!("taken: {text}"))
}

#[test]
fn two_lines_are_enough_for_kinde() {
    let settings =
        load("[accounts.kinde]\nprovider = \"kinde\"\nissuer = \"https://acme.kinde.com\"\n").expect("settings");
    let client = &settings.accounts.values().next().expect("an account").client;
    let endpoint =
        |endpoint: &Option<crate::oauth::exchange::Endpoint>| endpoint.as_ref().map(|e| e.as_str().to_owned());
    assert_eq!(client.client_id, None);
    assert_eq!(
        endpoint(&client.endpoints.device_authorization).as_deref(),
        Some("https://acme.kinde.com/oauth2/device/auth")
    );
    assert_eq!(endpoint(&client.endpoints.token).as_deref(), Some("https://acme.kinde.com/oauth2/token"));
}

#[test]
fn a_mistake_is_shown_with_its_place_and_the_fix() {
    let shown = refused("[accounts.a]\nprovider = \"kindle\"\nissuer = \"https://a.example\"\n");
    assert_eq!(
        shown,
        "bearerd.toml:2:12: there is no provider profile of the name \"kindle\"\n  |\n2 | provider = \"kindle\"\n  |            \
         ^^^^^^^^\n  = write one of: auth0, authentik, dex, entra, generic, github, gitlab, glewlwyd, google, hydra, keycloak, kinde, okta, \
         pingfederate, rauthy, salesforce, twitch, wso2, zitadel; generic works with every server that follows the standards"
    );
}

#[test]
fn every_mistake_is_told_at_once() {
    let shown = refused(
        "[daemon]\nbus = \"tram\"\n[accounts.A]\nissuer=\"https://a.example\"\n[accounts.b]\nissuer = \"http://b.example\"\nmin_validity = \"soon\"\n",
    );
    for part in ["2:7", "3:11", "6:10", "7:16"] {
        assert!(shown.contains(&format!("bearerd.toml:{part}:")), "{part} is missing in:\n{shown}");
    }
}

#[test]
fn unknown_keys_are_refused() {
    assert!(refused("[accounts.a]\nisuer = \"https://a.example\"\n").contains("unknown field `isuer`"));
}

#[test]
fn a_display_command_says_where_its_program_is() {
    let account = "[accounts.a]\nissuer = \"https://a.example\"\n";
    let shown = refused(&format!("{account}[display]\ncommand = [\"show-code\", \"--big\"]\n"));
    assert!(shown.contains("this does not say where the program is"), "{shown}");
    let display = load(&format!("{account}[display]\nconsole = true\ncommand = [\"/bin/true\", \"x\"]\n"));
    let display = display.unwrap_or_else(|error| panic!("{error}")).display;
    assert!(display.console && display.status && !display.log && display.command == ["/bin/true", "x"]);
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let shown = refused("[accounts.a]\nissuer = \"https://a.example\"\nclient_secret = \"hunter2\"\n");
    assert!(shown.contains("client_secret") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_server_is_needed_and_parameters_of_ours_are_not_overridden() {
    assert!(refused("[accounts.a]\nclient_id = \"x\"\n").contains("does not say where its server is"));
    let by_hand = "[accounts.a]\ntoken_endpoint = \"https://a.example/t\"\ndevice_authorization_endpoint = \"https://a.example/d\"\n";
    assert!(load(by_hand).is_ok());
    let extra = format!("{by_hand}extra_parameters = {{ refresh = {{ refresh_token = \"x\" }} }}\n");
    assert!(refused(&extra).contains("bearerd's own"));
}

#[test]
fn rules_name_somebody_who_exists() {
    let rule = |rule: &str| format!("[accounts.a]\nissuer = \"https://a.example\"\n[[accounts.a.allow]]\n{rule}\n");
    let settings = load(&rule("user = \"root\"\nactions = [\"token\", \"login\"]")).expect("settings");
    let rules = &settings.accounts.values().next().expect("an account").rules;
    let expected = Rule { uid: Some(0), actions: vec![Action::Token, Action::Login], ..Rule::default() };
    assert_eq!(rules.allow, [expected]);
    assert!(load(&rule("unit = \"x.service\"\nsocket = \"bus\"\nscopes = [\"a\"]")).is_ok());
    for name in ["x", "x.slice", "../x.service", "system.slice/x.service"] {
        assert!(refused(&rule(&format!("unit = \"{name}\""))).contains("not the full name"), "{name}");
    }
    assert!(refused(&rule("socket = \"web\"")).contains("no such client"));
    assert!(refused(&rule("user = \"nobody-of-that-name\"")).contains("there is no user"));
    assert!(refused(&rule("user = \"nobody\"")).contains("many programs share"));
    assert!(refused(&rule("actions = [\"token\"]")).contains("names nobody"));
    assert!(refused(&rule("user = \"root\"\nactions = [\"fly\"]")).contains("fly"));
}

#[test]
fn a_client_is_bound_to_accounts_that_are_there() {
    let with = |client: &str| format!("[accounts.a]\nissuer = \"https://a.example\"\n[clients.{client}\n");
    let settings = load(&with("web]\naccounts = [\"a\"]\nscopes = [\"x\"]")).expect("settings");
    let rules = &settings.accounts.values().next().expect("an account").rules;
    assert!(rules.allow.is_empty() && rules.clients.len() == 1, "the API's socket is open as before");
    assert_eq!(settings.clients.iter().map(|name| &**name).collect::<Vec<_>>(), ["web"]);
    assert!(refused(&with("web]")).contains("bound to no account"));
    assert!(refused(&with("web]\naccounts = [\"b\"]")).contains("no account \"b\""));
    for name in ["api", "bus", "credential", "\"../x\"", "\"..\"", "\".x\"", "UP"] {
        assert!(refused(&with(&format!("{name}]\naccounts = [\"a\"]"))).contains("cannot be the name"), "{name}");
    }
}

#[test]
fn drop_ins_add_accounts_and_do_not_contradict() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let main = folder.path().join("bearerd.toml");
    let drop_in =
        |name: &str, text: &str| fs::write(folder.path().join("accounts.d").join(name), text).expect("a file");
    fs::create_dir(folder.path().join("accounts.d")).expect("a folder");
    fs::write(&main, "[accounts.one]\nissuer = \"https://a.example\"\n").expect("a file");
    drop_in("two.toml", "issuer = \"https://b.example\"\n");
    drop_in("ignored.toml.bak", "nonsense");
    std::os::unix::fs::symlink("/dev/null", folder.path().join("accounts.d/masked.toml")).expect("a link");
    let names = |settings: Settings| settings.accounts.keys().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(Settings::load(&main).expect("settings")), ["one", "two"]);
    drop_in("one.toml", "issuer = \"https://c.example\"\n");
    assert!(
        Settings::load(&main)
            .err()
            .is_some_and(|error| error.to_string().contains("defined here and in the main file"))
    );
}

#[test]
fn durations_have_a_unit() {
    assert_eq!(duration("90s"), Some(Duration::from_secs(90)));
    assert_eq!(duration("5m"), Some(Duration::from_secs(300)));
    assert_eq!(duration("2h"), Some(Duration::from_secs(7200)));
    for wrong in ["90", "-5m", "soon", ""] {
        assert_eq!(duration(wrong), None, "{wrong}");
    }
}

/// The client of the one account in these files, given as names and texts.
fn client_of(files: &[(&str, &str)]) -> Result<Arc<Client>, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join("providers.d")).expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    let settings = Settings::load(&folder.path().join("bearerd.toml")).map_err(|error| error.to_string())?;
    Ok(settings.accounts.into_values().next().expect("an account").client)
}

#[test]
fn a_profile_beside_the_configuration_comes_before_the_built_in_one() {
    let account = |provider| format!("[accounts.a]\nprovider = \"{provider}\"\nissuer = \"https://a.example\"\n");
    let own = "device_authorization_endpoint = \"/d\"\ntoken_endpoint = \"https://t.example/t\"\noffline_scope = \"forever\"\n";
    for name in ["kinde", "house"] {
        let file = format!("providers.d/{name}.toml");
        let client = client_of(&[("bearerd.toml", &account(name)), (&file, own)]).expect("settings");
        let token = client.endpoints.token.as_ref().map(|endpoint| endpoint.as_str());
        assert_eq!((token, client.endpoints.revocation.as_ref()), (Some("https://t.example/t"), None), "{name}");
        assert_eq!(client.profile.offline_scope.as_deref(), Some("forever"));
        assert!(client.profile.error_aliases.contains_key("token_expired"), "completed from generic");
    }
    let generic = ("providers.d/generic.toml", "[remedies]\ninvalid_client = \"call the help desk\"\n");
    let client = client_of(&[("bearerd.toml", &account("okta")), generic]).expect("settings");
    assert_eq!(client.profile.remedies["invalid_client"], "call the help desk", "and generic may be replaced too");
    let wrong = client_of(&[("bearerd.toml", &account("kinde")), ("providers.d/kinde.toml", "tokn_endpoint = 1\n")]);
    let shown = wrong.err().expect("a problem");
    assert!(shown.contains("providers.d/kinde.toml:1:1") && shown.contains("tokn_endpoint"), "{shown}");
}

#[test]
fn what_all_customers_of_a_provider_share_need_not_be_written() {
    let one = |text: &str| client_of(&[("bearerd.toml", text)]).expect("settings");
    let github = one("[accounts.a]\nprovider = \"github\"\nclient_id = \"x\"\n");
    assert!(github.issuer.is_none() && github.endpoints.clone().complete().is_some());
    let gitlab = one("[accounts.a]\nprovider = \"gitlab\"\nissuer = \"https://git.example/\"\nclient_id = \"x\"\n");
    let token = gitlab.endpoints.token.as_ref().map(|endpoint| endpoint.as_str());
    assert_eq!((token, gitlab.scopes.join(" ").as_str()), (Some("https://git.example/oauth/token"), "openid"));
    let none = one("[accounts.a]\nprovider = \"gitlab\"\nclient_id = \"x\"\nscopes = []\n");
    assert_eq!((none.issuer.as_deref(), none.scopes.len()), (Some("https://gitlab.com"), 0), "none is a choice too");
}

#[test]
fn only_known_exceptions_may_name_another_issuer() {
    let entra = |tenant: &str, more: &str| {
        let issuer = format!("https://login.microsoftonline.com/{tenant}/v2.0");
        let text = format!("[accounts.a]\nprovider = \"entra\"\nissuer = \"{issuer}\"\nclient_id = \"x\"\n{more}");
        client_of(&[("bearerd.toml", &text)]).expect("settings")
    };
    let of = |tenant: &str| format!("https://login.microsoftonline.com/{tenant}/v2.0");
    assert!(entra("common", "").is_issuer(&of("0000-1111")));
    assert!(!entra("0000-1111", "").is_issuer(&of("2222-3333")));
    let pinned = entra("acme.example", "issuer_pin = \"https://login.microsoftonline.com/0000-1111/v2.0\"\n");
    assert!(pinned.is_issuer(&of("0000-1111")) && !pinned.is_issuer(&of("2222-3333")));
}

#[test]
fn code_pages_are_hosts_and_come_on_top_of_the_profiles() {
    let account = "[accounts.a]\nissuer = \"https://a.example\"\n";
    let settings = load(&format!("{account}provider = \"google\"\ncode_pages = [\"b.example\"]\n")).expect("settings");
    let client = &settings.accounts.values().next().expect("an account").client;
    assert_eq!(client.profile.code_pages, ["www.google.com", "b.example"]);
    for bad in ["https://b.example", "B.example", "b.example/device", "b example", ""] {
        let shown = refused(&format!("{account}code_pages = [\"{bad}\"]\n"));
        assert!(shown.contains("bearerd.toml:3:15: this is not a host"), "{shown}");
    }
}

#[test]
fn accounts_share_a_client_that_is_the_same_and_no_other() {
    let account = |name: &str, id: &str| {
        format!("[accounts.{name}]\nissuer = \"https://a.example\"\nclient_id = \"{id}\"\nscopes = [\"openid\"]\n")
    };
    let text = [account("a", "x"), account("b", "y"), account("c", "x")].concat();
    let settings = load(&text).expect("settings");
    let [a, b, c] = ["a", "b", "c"].map(|name| &settings.accounts[name].client);
    assert!(Arc::ptr_eq(a, c) && !Arc::ptr_eq(a, b));
    assert_eq!((a.client_id.as_deref(), b.client_id.as_deref()), (Some("x"), Some("y")));
}
