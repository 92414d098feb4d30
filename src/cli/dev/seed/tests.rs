//! How seeds are read, and how problems are reported.

use proptest::prelude::*;

use super::yaml::DEEPEST;
use super::*;
use crate::domain::testing::texts;

const WHOLE: &str = r#"# All that may stand in a seed.
UserPools:
- Id: us-east-1_Example01
  PoolName: people
  AutoVerifiedAttributes: [email]
  Policies: {PasswordPolicy: {MinimumLength: 10}}
  Schema:
  - {Name: tier, AttributeDataType: String, Mutable: false}
  UserPoolClients:
  - ClientId: 1example23456789abcdefghij
    ClientName: web
    ClientSecret: 1secret23456789abcdefghijklmnopqrstuvwxyz1234567890
    ExplicitAuthFlows: [ALLOW_USER_PASSWORD_AUTH]
    ReadAttributes: []
  Groups:
  - {GroupName: readers, Precedence: 2}
  Users:
  - Username: ann
    Password: Correct-horse-1
    UserAttributes:
    - {Name: sub, Value: 5f2b0c1e-8f57-4f0e-9a59-0d8a4a1f6b11}
    - {Name: email, Value: ann@example.com}
    - {Name: email_verified, Value: "true"}
    - {Name: "custom:tier", Value: gold}
    Groups: [readers]
  - Username: bob
    Password: Correct-horse-2
    Permanent: false
"#;

fn sound(text: &str) -> Vec<Pool> {
    parse(text.as_bytes()).unwrap_or_else(|problems| panic!("{:?}", lines(&problems)))
}

fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// The problems of a text.
fn wrong(text: &str) -> Vec<String> {
    lines(&parse(text.as_bytes()).err().unwrap_or_else(|| panic!("nothing is wrong with {text}")))
}

/// The example seed with one text in it replaced.
fn with(old: &str, new: &str) -> String {
    assert_eq!(WHOLE.matches(old).count(), 1, "{old}");
    WHOLE.replace(old, new)
}

/// The contents of pools, in a form that can be compared.
fn content(pools: &[Pool]) -> Vec<String> {
    let one = |pool: &Pool| {
        let clients = pool.clients.iter().map(|client| (&client.value.id, &client.value.create, &client.value.update));
        let users = pool.users.iter().map(|user| &user.user.value);
        let users = users
            .map(|user| (user.sub, &user.create, user.password.password(), user.password.permanent(), &user.groups));
        let groups = pool.groups.iter().map(|group| &group.value);
        let seeded = &pool.pool.value;
        format!(
            "{} {:?} {:?} {:?} {:?} {:?}",
            seeded.id,
            seeded.create,
            seeded.update,
            clients.collect::<Vec<_>>(),
            groups.collect::<Vec<_>>(),
            users.collect::<Vec<_>>()
        )
    };
    pools.iter().map(one).collect()
}

#[test]
fn members_mean_what_they_mean_in_cognitos_requests() {
    let pools = sound(WHOLE);
    let [pool] = &pools[..] else { panic!("one pool") };
    let (create, update) = (&pool.pool.value.create, &pool.pool.value.update);
    assert_eq!(
        (create.pool_name(), update.pool_name(), update.user_pool_id()),
        ("people", "people", "us-east-1_Example01")
    );
    assert_eq!(create.schema[0].name(), "tier");
    assert_eq!(update.policies, create.policies);
    let client = &pool.clients[0].value;
    assert_eq!(client.id.as_str(), "1example23456789abcdefghij");
    assert_eq!(client.create.client_secret(), "1secret23456789abcdefghijklmnopqrstuvwxyz1234567890");
    assert_eq!((client.update.client_id(), client.update.client_name()), ("1example23456789abcdefghij", "web"));
    let empty = texts(&["read_attributes"]);
    assert_eq!((&client.create.given_empty, &client.update.given_empty), (&empty, &empty));
    assert_eq!((pool.groups[0].value.group_name(), pool.groups[0].value.precedence()), ("readers", 2));
    let [ann, bob] = &pool.users[..] else { panic!("two users") };
    let (ann, bob) = (&ann.user.value, &bob.user.value);
    assert_eq!(ann.sub.map(|sub| sub.to_string()).as_deref(), Some("5f2b0c1e-8f57-4f0e-9a59-0d8a4a1f6b11"));
    let names: Vec<_> = ann.create.user_attributes.iter().map(|attribute| attribute.name()).collect();
    assert_eq!(names, ["email", "email_verified", "custom:tier"]);
    assert_eq!((ann.create.message_action(), ann.create.temporary_password()), ("SUPPRESS", "Correct-horse-1"));
    assert_eq!((ann.password.permanent(), bob.password.permanent()), (true, false));
    assert_eq!((ann.groups.as_slice(), bob.sub), (&["readers".to_owned()][..], None));
}

#[test]
fn a_seed_as_json_means_the_same() {
    let json = r#"{
	"$schema": "seed.schema.json",
	"UserPools": [{
		"Id": "us-east-1_Example01", "PoolName": "people", "UserPoolTags": {"a": "\u00e9 \/ \ud83e\udd80", "b": "\\ud83e"}
	}]
}"#;
    let yaml = "UserPools:\n- Id: us-east-1_Example01\n  PoolName: people\n  UserPoolTags: {a: é / 🦀, b: '\\ud83e'}\n";
    assert_eq!(content(&sound(json)), content(&sound(yaml)));
    let anchors =
        WHOLE.replacen("Correct-horse-1", "&password Correct-horse-1", 1).replace("Correct-horse-2", "*password");
    assert_eq!(content(&sound(&anchors)), content(&sound(&WHOLE.replace("Correct-horse-2", "Correct-horse-1"))));
}

#[test]
fn malformed_files_are_reported_by_line_and_path() {
    for (text, expected) in [
        (with("PoolName: people", "PoolName: 7"), "4:13: UserPools[0].PoolName: must be a string: put it in quotes."),
        (with("PoolName: people", "PoolName:"), "4:11: UserPools[0].PoolName: must be given a value."),
        (with("Precedence: 2", "Precedence: two"), "16:38: UserPools[0].Groups[0].Precedence: must be an integer."),
        (
            with("Precedence: 2", "Precedence: 2147483648"),
            "16:38: UserPools[0].Groups[0].Precedence: must be an integer.",
        ),
        (with("Permanent: false", "Permanent: no"), "28:16: UserPools[0].Users[1].Permanent: must be true or false."),
        (with("[readers]", "readers"), "25:13: UserPools[0].Users[0].Groups: must be a list."),
        (with("{PasswordPolicy: {MinimumLength: 10}}", "[]"), "6:13: UserPools[0].Policies: must be a mapping."),
        (
            with("Id: us-east-1_Example01", "Id: us-east-1_short"),
            "3:7: UserPools[0].Id: must be a region, `_`, and 9 letters or digits.",
        ),
        (
            with("1example23456789abcdefghij", "web"),
            "10:15: UserPools[0].UserPoolClients[0].ClientId: must be 26 small letters or digits.",
        ),
        (with("Id: us-east-1_Example01\n  ", ""), "3:3: UserPools[0]: needs a member Id."),
        ("{}".to_owned(), "1:1: needs a member UserPools."),
        ("- a".to_owned(), "1:1: must be a mapping."),
    ] {
        assert_eq!(wrong(&text), [expected]);
    }
    let slip = wrong(&with("MinimumLength: 10", "MinLength: 10"));
    let beginning = "6:31: UserPools[0].Policies.PasswordPolicy.MinLength: There is no such member here; there are: ";
    assert!(slip[0].starts_with(beginning) && slip[0].contains("MinimumLength, "), "{slip:?}");
    let slip = wrong(&with("    Groups: [readers]", "    Group: [readers]"));
    let expected = "25:5: UserPools[0].Users[0].Group: There is no such member here; there are: \
         Groups, Password, Permanent, UserAttributes, Username.";
    assert_eq!(slip, [expected]);
}

#[test]
fn broken_constraints_are_reported_at_their_place() {
    for (text, expected) in [
        (
            with("MinimumLength: 10", "MinimumLength: 5"),
            "6:46: UserPools[0].Policies.PasswordPolicy.MinimumLength: Value '5' at 'policies.passwordPolicy.minimumLength' \
             failed to satisfy constraint: Member must have value greater than or equal to 6",
        ),
        (
            with("AttributeDataType: String", "AttributeDataType: Text"),
            "8:37: UserPools[0].Schema[0].AttributeDataType: Value 'Text' at 'schema.1.member.attributeDataType' failed to \
             satisfy constraint: Member must satisfy enum value set: [String, Number, DateTime, Boolean]",
        ),
        (
            with("    Password: Correct-horse-1\n", ""),
            "18:5: UserPools[0].Users[0]: Value at 'password' failed to satisfy constraint: Member must not be null",
        ),
        (
            with("PoolName: people", "UserPoolTier: LITE"),
            "3:3: UserPools[0]: Value null at 'poolName' failed to satisfy constraint: Member must not be null",
        ),
        (
            with("Value: 5f2b0c1e-8f57-4f0e-9a59-0d8a4a1f6b11", "Value: 5F2B0C1E-8F57-4F0E-9A59-0D8A4A1F6B11"),
            "21:7: UserPools[0].Users[0].UserAttributes: The value of sub must be a UUID of 36 characters in small letters.",
        ),
    ] {
        assert_eq!(wrong(&text), [expected]);
    }
}

#[test]
fn rules_are_checked_before_anything_is_created() {
    let weak = with("Correct-horse-1", "correct-1");
    let policy =
        "19:15: UserPools[0].Users[0].Password: Password did not conform with policy: Password not long enough";
    assert_eq!(wrong(&weak), [policy]);
    let unknown = with("custom:tier", "custom:level");
    assert!(wrong(&unknown)[0].starts_with("18:5: UserPools[0].Users[0]: "), "{:?}", wrong(&unknown));
    let client = with("[ALLOW_USER_PASSWORD_AUTH]", "[ALLOW_USER_PASSWORD_AUTH, USER_PASSWORD_AUTH]");
    assert!(wrong(&client)[0].starts_with("10:5: UserPools[0].UserPoolClients[0]: "), "{:?}", wrong(&client));
    let pool = with("AutoVerifiedAttributes: [email]", "MfaConfiguration: \"ON\"");
    assert!(wrong(&pool)[0].starts_with("3:3: UserPools[0]: Invalid MFA configuration given"), "{:?}", wrong(&pool));
    let group = with("Groups: [readers]", "Groups: [writers]");
    assert_eq!(wrong(&group), ["25:13: UserPools[0].Users[0].Groups: The pool has no group writers in this file."]);
}

#[test]
fn ids_and_names_are_unique() {
    let second = "- Id: us-east-1_Example02\n  PoolName: others\n  UserPoolClients:\n  - {ClientId: 1example23456789abcdefghij, ClientName: web}\n";
    let of_another_pool = format!("{WHOLE}{second}");
    let expected =
        "32:5: UserPools[1].UserPoolClients[0]: has the same ClientId as UserPools[0].UserPoolClients[0] in line 10.";
    assert_eq!(wrong(&of_another_pool), [expected]);
    let pools = format!("{WHOLE}- Id: us-east-1_Example01\n  PoolName: others\n");
    assert_eq!(wrong(&pools), ["29:3: UserPools[1]: has the same Id as UserPools[0] in line 3."]);
    let groups = with("  - {GroupName: readers, Precedence: 2}", "  - {GroupName: readers}\n  - {GroupName: readers}");
    let expected = "17:5: UserPools[0].Groups[1]: has the same GroupName as UserPools[0].Groups[0] in line 16.";
    assert_eq!(wrong(&groups), [expected]);
    let expected = "26:5: UserPools[0].Users[1]: has the same Username as UserPools[0].Users[0] in line 18.";
    assert_eq!(wrong(&with("Username: bob", "Username: ann")), [expected]);
    let in_any_case = with("Username: bob", "Username: ANN")
        .replace("PoolName", "UsernameConfiguration: {CaseSensitive: false}\n  PoolName");
    assert_eq!(wrong(&in_any_case), [expected.replace("26:", "27:").replace("line 18", "line 19")]);
    let subs = format!("{WHOLE}    UserAttributes: [{{Name: sub, Value: 5f2b0c1e-8f57-4f0e-9a59-0d8a4a1f6b11}}]\n");
    assert_eq!(wrong(&subs), [expected.replace("Username", "sub")]);
}

#[test]
fn texts_that_are_no_seed_are_refused() {
    let twice = with("PoolName: people", "PoolName: people\n  PoolName: people");
    assert_eq!(wrong(&twice), ["5:3: The member stands twice."]);
    let open = wrong("UserPools: [{");
    assert!(open[0].contains("The file is neither YAML nor JSON: "), "{open:?}");
    assert_eq!(wrong(""), ["1:1: The file is empty."]);
    assert_eq!(wrong("a: 1\n---\nb: 2\n"), ["3:1: A seed is one document."]);
    let not_text = parse(b"UserPools:\n- \xff").err().unwrap();
    assert_eq!(lines(&not_text), ["2:3: The file is not text in UTF-8."]);
    let tagged = wrong(&with("PoolName: people", "PoolName: !secret people"));
    assert_eq!(tagged.len(), 1, "{tagged:?}");
    for deep in ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(100_000), "&a [".repeat(DEEPEST + 1)] {
        let told = wrong(&deep);
        let is_told = |message| told[0].ends_with(message);
        assert!(is_told("lists and mappings in each other.") || is_told("recursion limit exceeded."), "{told:?}");
    }
    let mut bomb = "a0: &a0 [x]\n".to_owned();
    (1..20).for_each(|level| {
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(", "))
    });
    assert!(wrong(&bomb)[0].contains("aliases"), "{:?}", wrong(&bomb));
}

#[test]
fn missing_and_large_files_are_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![b'#'; LARGEST_FILE as usize + 1]).unwrap();
    let told = |path: &Path| format!("{:#}", Seed::read(path).err().unwrap());
    assert_eq!(told(file.path()), format!("the seed {} can't be read: it is larger than 4 MiB", file.path().display()));
    assert!(told(Path::new("nowhere.yaml")).starts_with("the seed nowhere.yaml can't be read: No such file"));
    std::fs::write(file.path(), "a: 1\nb: 2\n").unwrap();
    let lines = told(file.path());
    let expected = "There is no such member here; there are: $schema, UserPools.";
    let path = file.path().display();
    assert_eq!(
        lines,
        format!("{path}:1:1: a: {expected}\n{path}:2:1: b: {expected}\n{path}:1:1: needs a member UserPools.")
    );
}

#[test]
fn no_problem_shows_a_secret() {
    let secrets = [
        with("Password: Correct-horse-1", "Password: hunter2"),
        with("Password: Correct-horse-1", "Password: [hunter2]"),
        with("Password: Correct-horse-1", "Password: {hunter2: x}"),
        with("1secret23456789abcdefghijklmnopqrstuvwxyz1234567890", "hunter2"),
        with("ClientSecret:", "GenerateSecret: hunter2\n    ClientSecret:"),
    ];
    for text in secrets {
        assert!(!wrong(&text).join("\n").contains("hunter2"), "{:?}", wrong(&text));
    }
}

/// Lines as seeds have them, in any order.
fn lines_of_seeds() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        prop::sample::select(WHOLE.lines().collect::<Vec<_>>()).prop_map(str::to_owned),
        "[ -]{0,6}[A-Za-z&*!{}\\[\\],:'\"|>#%@ ]{0,20}",
    ];
    prop::collection::vec(line, 0..20).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn any_text_is_read_or_refused(text in lines_of_seeds()) {
        let _ = parse(text.as_bytes());
    }

    #[test]
    fn any_change_of_a_seed_is_read_or_refused(at in 0..WHOLE.len(), length in 0_usize..8, text in "\\PC{0,4}") {
        let mut bytes = WHOLE.as_bytes().to_vec();
        bytes.splice(at..(at + length).min(WHOLE.len()), text.bytes());
        let _ = parse(&bytes);
    }
}
