//! Every declared constraint of every built operation: one value just inside and one just outside, through both doors.
//! The values are made from the descriptors, so a new operation only needs a valid request in [`requests::base`].

use std::collections::{HashMap, HashSet};

use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value};
use regex::Regex;
use userpool::api::aws_json::encode::encode;
use userpool::api::aws_json::is_member;
use userpool::api::operation::{Operation, OperationInfo};
use userpool::proto::descriptor_pool;

use crate::support::dev::{Address, shared_server};
use crate::support::requests;
use crate::support::wire::{self, Refusal};

fn message(info: &OperationInfo, json: &serde_json::Value) -> DynamicMessage {
    let descriptor = descriptor_pool().get_message_by_name(info.request).expect("a message");
    DynamicMessage::decode(descriptor, wire::message_of(info.request, json)).expect("a message of its type")
}

/// One constraint of one field.
struct Case {
    /// The field's path in Cognito's spelling.
    path: String,
    /// The sentence that refuses a value outside.
    sentence: String,
    /// Requests with a value just inside.
    inside: DynamicMessage,
    /// A request with a value just outside.
    outside: DynamicMessage,
    /// The field of the request that the path begins with.
    top: String,
    /// Whether only gRPC has the field. The AWS door has empty lists where gRPC has their names in a field.
    only_grpc: bool,
}

impl Case {
    /// How many doors are tried; gRPC is the first.
    fn doors(&self) -> usize {
        if self.only_grpc { 1 } else { 2 }
    }
}

#[tokio::test]
async fn every_constraint_holds_at_both_doors_and_only_outside() {
    let server = shared_server().await;
    let address = &server.address;
    let channel = wire::channel(address).await;
    let (pool, client) = wire::pool_and_client(&channel, address, "boundaries").await;
    let mut failures = Vec::new();
    let mut tried = 0;
    for info in wire::operations().filter(|info| info.built) {
        let base = message(info, &requests::base(info, &pool, &client));
        for case in cases(&base) {
            let doors = Doors { address, channel: &channel, info };
            failures.extend(doors.outside(&case).await);
            failures.extend(doors.inside(&case, &base).await);
            tried += 1;
        }
    }
    assert!(tried > 200, "only {tried} constraints were found");
    assert!(failures.is_empty(), "{} of {tried} constraints:\n{}", failures.len(), failures.join("\n"));
}

/// Fails for every new field without a bound, because such a field could make an event of any size.
#[test]
fn every_text_list_and_map_of_every_request_has_an_upper_bound() {
    let message = |info: &OperationInfo| descriptor_pool().get_message_by_name(info.request).expect("a message");
    let mut open: Vec<_> = wire::operations().map(message).collect();
    let (mut seen, mut bounded, mut unbounded) = (HashSet::new(), 0, Vec::new());
    while let Some(message) = open.pop() {
        if message.package_name() != "userpool.v1" || !seen.insert(message.full_name().to_owned()) {
            continue;
        }
        for field in message.fields() {
            let lacking = lacking_bounds(&field);
            bounded += usize::from(lacking.is_empty());
            unbounded.extend(lacking.into_iter().map(|what| format!("{}: {what}", field.full_name())));
            let Kind::Message(inner) = field.kind() else { continue };
            let value = inner.is_map_entry().then(|| inner.map_entry_value_field().kind());
            open.extend(value.map_or(Some(inner), |value| value.as_message().cloned()));
        }
    }
    assert!(bounded > 400, "only {bounded} fields were found");
    assert!(unbounded.is_empty(), "{} have no bound:\n{}", unbounded.len(), unbounded.join("\n"));
}

/// The parts of a field without an upper bound.
fn lacking_bounds(field: &FieldDescriptor) -> Vec<&'static str> {
    let rules = Rules::of(field);
    let part = |name: &str| rules.as_ref().and_then(|rules| rules.part(name));
    let mut lacking = Vec::new();
    let mut need = |bounded: bool, what| lacking.extend((!bounded).then_some(what));
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else { panic!("a map without entries") };
        let map = part("map");
        let of = |name: &str| map.as_ref().and_then(|map| map.part(name));
        need(map.as_ref().is_some_and(|map| map.has("max_pairs")), "its size");
        need(is_bounded(&entry.map_entry_key_field().kind(), of("keys").as_ref()), "its keys");
        need(is_bounded(&entry.map_entry_value_field().kind(), of("values").as_ref()), "its values");
    } else if field.is_list() {
        let list = part("repeated");
        need(list.as_ref().is_some_and(|list| list.has("max_items")), "its size");
        let items = list.as_ref().and_then(|list| list.part("items"));
        need(is_bounded(&field.kind(), items.as_ref()), "its items");
    } else {
        need(is_bounded(&field.kind(), rules.as_ref()), "its length");
    }
    lacking
}

/// Whether a value has a greatest length: by a rule, by its choices, or by a pattern.
fn is_bounded(kind: &Kind, rules: Option<&Rules>) -> bool {
    match kind {
        Kind::String => rules.and_then(|rules| rules.part("string")).is_some_and(|strings| {
            let by_pattern = || strings.text("pattern").is_some_and(|pattern| Form::ends(&pattern));
            strings.has("max_len") || strings.has("in") || by_pattern()
        }),
        Kind::Bytes => rules.and_then(|rules| rules.part("bytes")).is_some_and(|bytes| bytes.has("max_len")),
        _ => true,
    }
}

#[tokio::test]
async fn no_request_makes_an_event_that_no_broker_takes() {
    let server = shared_server().await;
    let channel = wire::channel(&server.address).await;
    let (pool, _) = wire::pool_and_client(&channel, &server.address, "large events").await;
    let info = |operation: Operation| operation.info();
    let refused = async |operation: Operation, request: serde_json::Value| {
        let request = wire::message_of(info(operation).request, &request);
        Refusal::of_status(&wire::grpc(&channel, &server.address, info(operation), request).await.unwrap_err()).message
    };
    let flags = vec!["email"; 131_047];
    let many = serde_json::json!({ "UserPoolId": pool, "AutoVerifiedAttributes": flags });
    let message = refused(Operation::UpdateUserPool, many).await;
    assert!(message.contains("at 'autoVerifiedAttributes' failed to satisfy constraint"), "{message}");
    // Each text is within its bound, and together they have more than a megabyte as JSON.
    let text = "\u{1}".repeat(131_072);
    let sms = serde_json::json!({
        "SnsCallerArn": "arn:aws:iam::123456789012:role/sms", "ExternalId": text,
    });
    let email = serde_json::json!({ "From": format!("{} <users@example.com>", "\u{10400}".repeat(100_000)) });
    let large = serde_json::json!({ "UserPoolId": pool, "SmsConfiguration": sms, "EmailConfiguration": email });
    let message = refused(Operation::UpdateUserPool, large).await;
    assert_eq!(message, "The change is too large: what is recorded of it has more than 524288 bytes.");
}

/// The doors of a server, for one operation.
struct Doors<'a> {
    address: &'a Address,
    channel: &'a tonic::transport::Channel,
    info: &'a OperationInfo,
}

impl Doors<'_> {
    async fn grpc(&self, request: &DynamicMessage) -> Option<Refusal> {
        let answer = wire::grpc(self.channel, self.address, self.info, request.encode_to_vec().into()).await;
        answer.err().map(|status| Refusal::of_status(&status))
    }

    async fn aws(&self, request: &DynamicMessage) -> Option<Refusal> {
        let body = encode(request).to_string();
        Refusal::of_answer(&wire::aws(self.address, self.info, body.as_bytes()).await)
    }

    async fn outside(&self, case: &Case) -> Vec<String> {
        let expected = format!("at '{}' failed to satisfy constraint: {}", case.path, case.sentence);
        let mut failures = Vec::new();
        let (grpc, aws) = (self.grpc(&case.outside).await, self.aws(&case.outside).await);
        for (door, refusal) in [("gRPC", &grpc), ("AWS", &aws)].into_iter().take(case.doors()) {
            let told = refusal.as_ref().is_some_and(|refusal| {
                refusal.exception == "InvalidParameterException"
                    && refusal.message.contains(" validation error")
                    && refusal.message.contains(&expected)
            });
            if !told {
                failures
                    .push(format!("{} over {door}, outside: not told {expected:?} but {refusal:?}", self.info.name));
            }
        }
        let named = grpc.is_some_and(|refusal| {
            refusal.fields.iter().any(|(path, sentence)| *path == case.path && sentence.contains(&expected))
        });
        if !named {
            failures.push(format!("{} over gRPC, outside: no violation of {}", self.info.name, case.path));
        }
        failures
    }

    /// A second field is broken on purpose, so that the request changes nothing; the refusal must not name the field
    /// with the value inside.
    async fn inside(&self, case: &Case, base: &DynamicMessage) -> Vec<String> {
        let mut request = case.inside.clone();
        let guard = break_another_field(&mut request, base, &case.top);
        let mut failures = Vec::new();
        let refusals = [("gRPC", self.grpc(&request).await), ("AWS", self.aws(&request).await)];
        for (door, refusal) in refusals.into_iter().take(case.doors()) {
            let message = refusal.as_ref().map_or("", |refusal| refusal.message.as_str());
            let right = match &guard {
                Some(guard) => message.starts_with("1 validation error detected: ") && message.contains(guard),
                None => !message.contains("validation error"),
            };
            if !right {
                let (name, path, sentence) = (self.info.name, &case.path, &case.sentence);
                failures.push(format!("{name} over {door}, inside {path} ({sentence}): {refusal:?}"));
            }
        }
        failures
    }
}

/// Breaks a field other than the given one, and returns the name by which the refusal will report it.
fn break_another_field(request: &mut DynamicMessage, base: &DynamicMessage, except: &str) -> Option<String> {
    let fields: Vec<_> = base.descriptor().fields().filter(|field| field.name() != except).collect();
    if let Some(required) = fields.iter().find(|field| Rules::of(field).is_some_and(|rules| rules.flag("required"))) {
        request.clear_field(required);
        return Some(format!("at '{}'", lower(required.json_name())));
    }
    let choice = fields.iter().find(|field| {
        let strings = Rules::of(field).and_then(|rules| rules.part("string"));
        !field.is_list() && !field.is_map() && strings.is_some_and(|strings| strings.has("in"))
    });
    choice.map(|field| {
        request.set_field(field, Value::String("NONE OF THEM".to_owned()));
        format!("at '{}'", lower(field.json_name()))
    })
}

/// The rules of a field, or a part of them.
struct Rules(DynamicMessage);

impl Rules {
    fn of(field: &FieldDescriptor) -> Option<Self> {
        let extension = descriptor_pool().get_extension_by_name("buf.validate.field").expect("our vocabulary");
        let options = field.options();
        let rules = options.has_extension(&extension).then(|| options.get_extension(&extension).into_owned())?;
        rules.as_message().cloned().map(Self)
    }

    fn has(&self, name: &str) -> bool {
        self.0.has_field_by_name(name)
    }

    fn part(&self, name: &str) -> Option<Self> {
        let value = self.has(name).then(|| self.0.get_field_by_name(name))??;
        value.as_message().cloned().map(Self)
    }

    fn flag(&self, name: &str) -> bool {
        self.0.get_field_by_name(name).and_then(|value| value.as_bool()).unwrap_or(false)
    }

    fn number(&self, name: &str) -> Option<i64> {
        match self.has(name).then(|| self.0.get_field_by_name(name))??.as_ref() {
            Value::U64(number) => i64::try_from(*number).ok(),
            Value::I64(number) => Some(*number),
            Value::I32(number) => Some(i64::from(*number)),
            other => panic!("a bound that is {other:?}"),
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        self.has(name).then(|| self.0.get_field_by_name(name))??.as_str().map(str::to_owned)
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let list = self.has(name).then(|| self.0.get_field_by_name(name)).flatten();
        let list = list.and_then(|list| list.as_list().map(<[Value]>::to_vec)).unwrap_or_default();
        list.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    }
}

/// Turns `UserPoolId` into `userPoolId`.
fn lower(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    first.to_lowercase() + rest
}

/// Puts a nested message back into the request that contains it.
type Wrap<'a> = &'a dyn Fn(DynamicMessage) -> DynamicMessage;

/// The cases of every constraint of a request and of its nested messages.
fn cases(base: &DynamicMessage) -> Vec<Case> {
    let mut cases = Vec::new();
    for field in base.descriptor().fields() {
        of_field(&mut cases, base, &field, "", &|request| request, field.name(), 0);
    }
    cases
}

fn of_field(
    cases: &mut Vec<Case>,
    base: &DynamicMessage,
    field: &FieldDescriptor,
    before: &str,
    wrap: Wrap<'_>,
    top: &str,
    depth: usize,
) {
    let path = format!("{before}{}", lower(field.json_name()));
    let with = |value: Option<Value>| {
        let mut message = base.clone();
        match value {
            Some(value) => message.set_field(field, value),
            None => message.clear_field(field),
        }
        wrap(message)
    };
    let mut add = |sentence: String, inside: Option<Value>, outside: Option<Value>| {
        let (inside, outside) = (with(inside), with(outside));
        let only_grpc = !is_member(field);
        cases.push(Case { path: path.clone(), sentence, inside, outside, top: top.to_owned(), only_grpc });
    };
    let rules = Rules::of(field);
    if let Some(rules) = &rules {
        if rules.flag("required") {
            add("Member must not be null".to_owned(), Some(valid(field)), None);
        }
        if let Some(list) = rules.part("repeated") {
            let item = valid_item(field);
            let of_size = |size: i64| Some(Value::List(vec![item.clone(); usize::try_from(size).expect("a size")]));
            // An empty list counts as absent.
            if let Some(least) = list.number("min_items").filter(|least| *least > 1) {
                add(at_least(least), of_size(least), of_size(least - 1));
            }
            if let Some(most) = list.number("max_items") {
                add(at_most(most), of_size(most), of_size(most + 1));
            }
            for (bound, told) in element_bounds(list.part("items")) {
                let list = |item: Value| Some(Value::List(vec![item]));
                add(format!("Member must satisfy constraint: [{told}]"), list(bound.inside), list(bound.outside));
            }
        }
        if let Some(map) = rules.part("map") {
            let entry = |index: i64| (map_key(&map, index), valid_map_value(field, &map));
            let of_size = |size: i64| Some(Value::Map((0..size).map(entry).collect()));
            if let Some(most) = map.number("max_pairs") {
                // More keys than the pattern of keys allows can't be tried alone; the refusal names the size as well.
                add(at_most(most), of_size(most), of_size(most + 1));
            }
            for (bound, told) in element_bounds(map.part("keys")) {
                let of_key = |key: Value| {
                    let key = MapKey::String(key.as_str().expect("keys are strings").to_owned());
                    Some(Value::Map(HashMap::from([(key, valid_map_value(field, &map))])))
                };
                add(format!("Map keys must satisfy constraint: [{told}]"), of_key(bound.inside), of_key(bound.outside));
            }
            for (bound, told) in element_bounds(map.part("values")) {
                let of_value = |value: Value| Some(Value::Map(HashMap::from([(map_key(&map, 0), value)])));
                add(
                    format!("Map value must satisfy constraint: [{told}]"),
                    of_value(bound.inside),
                    of_value(bound.outside),
                );
            }
        }
        if !field.is_list() && !field.is_map() {
            for bound in bounds(rules) {
                add(bound.sentence, Some(bound.inside), Some(bound.outside));
            }
        }
    }
    of_nested(cases, field, &path, rules.as_ref(), &with, top, depth);
}

/// The cases inside a message, a list of messages or a map of messages.
fn of_nested(
    cases: &mut Vec<Case>,
    field: &FieldDescriptor,
    path: &str,
    rules: Option<&Rules>,
    with: &dyn Fn(Option<Value>) -> DynamicMessage,
    top: &str,
    depth: usize,
) {
    let Kind::Message(mut inner) = field.kind() else { return };
    let map = rules.and_then(|rules| rules.part("map"));
    let key = map.as_ref().map_or(MapKey::String("key".to_owned()), |map| map_key(map, 0));
    if field.is_map() {
        let Kind::Message(value) = inner.map_entry_value_field().kind() else { return };
        inner = value;
    }
    if inner.package_name() != "userpool.v1" {
        return;
    }
    assert!(depth < 8, "messages of the API do not hold themselves");
    let before = match (field.is_map(), field.is_list(), &key) {
        (true, _, MapKey::String(key)) => format!("{path}.{key}.member."),
        (_, true, _) => format!("{path}.1.member."),
        _ => format!("{path}."),
    };
    let wrap = |message: DynamicMessage| {
        let message = Value::Message(message);
        with(Some(match (field.is_map(), field.is_list()) {
            (true, _) => Value::Map(HashMap::from([(key.clone(), message)])),
            (_, true) => Value::List(vec![message]),
            _ => message,
        }))
    };
    let base = valid_message(&inner);
    for field in inner.fields() {
        of_field(cases, &base, &field, &before, &wrap, top, depth + 1);
    }
}

fn at_least(least: i64) -> String {
    format!("Member must have length greater than or equal to {least}")
}

fn at_most(most: i64) -> String {
    format!("Member must have length less than or equal to {most}")
}

/// A bound of a scalar: its sentence, and a value on either side.
struct Bound {
    sentence: String,
    inside: Value,
    outside: Value,
}

/// The bounds of a list's elements, each with the sentence for an element outside, which names all rules of elements.
fn element_bounds(rules: Option<Rules>) -> Vec<(Bound, String)> {
    let Some(rules) = rules else { return Vec::new() };
    let strings = rules.part("string").expect("elements with rules are strings");
    let (least, most) = (strings.number("min_len").map(at_least), strings.number("max_len").map(at_most));
    let pattern = strings.text("pattern").map(|pattern| {
        let shown = pattern.strip_prefix(r"\A").and_then(|rest| rest.strip_suffix(r"\z")).unwrap_or(&pattern);
        format!("Member must satisfy regular expression pattern: {shown}")
    });
    let choices = Some(strings.texts("in")).filter(|choices| !choices.is_empty());
    let choices = choices.map(|choices| format!("Member must satisfy enum value set: [{}]", choices.join(", ")));
    let all: Vec<_> = [most, least, pattern, choices].into_iter().flatten().collect();
    bounds(&rules).into_iter().map(|bound| (bound, all.join(", "))).collect()
}

fn bounds(rules: &Rules) -> Vec<Bound> {
    let mut bounds = Vec::new();
    for kind in ["int32", "int64"] {
        let Some(numbers) = rules.part(kind) else { continue };
        let value = |number: i64| match kind {
            "int32" => Value::I32(i32::try_from(number).expect("32 bits")),
            _ => Value::I64(number),
        };
        if let Some(least) = numbers.number("gte") {
            let sentence = format!("Member must have value greater than or equal to {least}");
            bounds.push(Bound { sentence, inside: value(least), outside: value(least - 1) });
        }
        if let Some(most) = numbers.number("lte") {
            let sentence = format!("Member must have value less than or equal to {most}");
            bounds.push(Bound { sentence, inside: value(most), outside: value(most + 1) });
        }
    }
    if let Some(bytes) = rules.part("bytes") {
        let value = |size: i64| Value::Bytes(vec![7; usize::try_from(size).expect("a size")].into());
        if let Some(least) = bytes.number("min_len") {
            bounds.push(Bound { sentence: at_least(least), inside: value(least), outside: value(least - 1) });
        }
        if let Some(most) = bytes.number("max_len") {
            bounds.push(Bound { sentence: at_most(most), inside: value(most), outside: value(most + 1) });
        }
    }
    if let Some(strings) = rules.part("string") {
        bounds.extend(string_bounds(&strings));
    }
    bounds
}

fn string_bounds(rules: &Rules) -> Vec<Bound> {
    let mut bounds = Vec::new();
    let (least, most) = (rules.number("min_len"), rules.number("max_len"));
    let pattern = rules.text("pattern");
    let form = pattern.as_deref().map(Form::of);
    let text = |length: i64| Value::String(of_length(form.as_ref(), length));
    // The shortest text that the pattern allows may be longer than the least length.
    if let Some(least) = least {
        let inside = form.as_ref().map_or(least, |form| form.shortest(least));
        bounds.push(Bound {
            sentence: at_least(least),
            inside: text(inside),
            outside: Value::String("a".repeat(usize::try_from(least - 1).expect("a length"))),
        });
    }
    if let Some(most) = most {
        let inside = form.as_ref().map_or(most, |form| most.min(form.longest(most)));
        let outside = form.as_ref().filter(|form| form.longest(most + 1) <= most);
        let outside = match outside {
            // The pattern allows no text of that length, so the refusal names both.
            Some(_) => Value::String("a".repeat(usize::try_from(most + 1).expect("a length"))),
            None => text(most + 1),
        };
        bounds.push(Bound { sentence: at_most(most), inside: text(inside), outside });
    }
    if let (Some(form), Some(pattern)) = (&form, &pattern) {
        let shown = pattern.strip_prefix(r"\A").and_then(|rest| rest.strip_suffix(r"\z")).unwrap_or(pattern);
        let length = form.shortest(least.unwrap_or(1));
        if let Some(outside) = form.broken(length) {
            let sentence = format!("Member must satisfy regular expression pattern: {shown}");
            bounds.push(Bound { sentence, inside: text(length), outside: Value::String(outside) });
        }
    }
    let choices = rules.texts("in");
    for choice in &choices {
        let sentence = format!("Member must satisfy enum value set: [{}]", choices.join(", "));
        bounds.push(Bound {
            sentence,
            inside: Value::String(choice.clone()),
            outside: Value::String(format!("{choice}x")),
        });
    }
    bounds
}

/// A pattern, with texts that match it.
struct Form {
    regex: Regex,
    /// The beginning, the part that can be repeated, and the end.
    parts: (&'static str, &'static str, &'static str),
}

/// Texts that match the patterns of the protos: a beginning, a character that can be repeated, an end.
const TEXTS: [(&str, &str, &str); 14] = [
    ("", "a", ""),
    ("", "1", ""),
    ("a", "a", "_1"),
    ("us-east-1_", "a", ""),
    ("", "a", "{####}"),
    ("{####}", "a", ""),
    ("arn:aws:iam::123456789012:role/", "a", ""),
    ("Level1", "", ""),
    ("Level", "", "2"),
    ("import-", "a", ""),
    ("{username}", "a", "{####}"),
    ("a@", "a", ".example"),
    ("https://", "a", ""),
    ("{##", "a", "##}"),
];

impl Form {
    /// In the patterns' dialect a bracket inside a class is a plain character; this one needs it escaped.
    fn plain(pattern: &str) -> String {
        pattern.replace("[[", r"[\[")
    }

    /// Whether a pattern is anchored at both ends and bounds a text's length.
    fn ends(pattern: &str) -> bool {
        let parsed = regex_syntax::parse(&Self::plain(pattern)).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        parsed.properties().maximum_len().is_some() && pattern.starts_with(r"\A") && pattern.ends_with(r"\z")
    }

    fn of(pattern: &str) -> Self {
        let regex = Regex::new(&Self::plain(pattern)).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        let fits = |(first, middle, last): &&(&str, &str, &str)| {
            let text = |count| format!("{first}{}{last}", middle.repeat(count));
            (0..40).map(text).any(|text| !text.is_empty() && regex.is_match(&text))
        };
        let parts = *TEXTS.iter().find(fits).unwrap_or_else(|| panic!("no text for the pattern {pattern}: add one"));
        Self { regex, parts }
    }

    fn text(&self, length: i64) -> Option<String> {
        let (first, middle, last) = self.parts;
        let count = usize::try_from(length).ok()?.checked_sub(first.len() + last.len())?;
        let text = format!("{first}{}{last}", middle.repeat(count));
        (text.len() == usize::try_from(length).ok()? && self.regex.is_match(&text)).then_some(text)
    }

    /// The shortest matching text with at least this length.
    fn shortest(&self, least: i64) -> i64 {
        (least..least + 100).find(|length| self.text(*length).is_some()).expect("a text that the pattern allows")
    }

    /// The longest matching text with at most this length.
    fn longest(&self, most: i64) -> i64 {
        (0..=most).rev().find(|length| self.text(*length).is_some()).expect("a text that the pattern allows")
    }

    /// A matching text with one wrong character; `None` if the pattern allows every text.
    fn broken(&self, length: i64) -> Option<String> {
        let text = self.text(length).unwrap_or_default();
        let end = text.len().saturating_sub(1);
        let others = ["é", " ", "!", "\u{1}", "\"", "/"];
        let mut candidates: Vec<_> = others.iter().map(|other| format!("{}{other}", &text[..end])).collect();
        candidates.push("a".repeat(text.len()));
        candidates.into_iter().find(|candidate| !self.regex.is_match(candidate))
    }
}

fn of_length(form: Option<&Form>, length: i64) -> String {
    match form {
        Some(form) => form.text(length).unwrap_or_else(|| panic!("no text of {length} for {}", form.regex)),
        None => "a".repeat(usize::try_from(length).expect("a length")),
    }
}

/// A value that breaks no constraint of its field.
fn valid(field: &FieldDescriptor) -> Value {
    if field.is_list() {
        let rules = Rules::of(field).and_then(|rules| rules.part("repeated"));
        let size = rules.and_then(|rules| rules.number("min_items")).unwrap_or(1);
        return Value::List(vec![valid_item(field); usize::try_from(size).expect("a size")]);
    }
    if field.is_map() {
        let map = Rules::of(field).and_then(|rules| rules.part("map")).expect("a map with rules");
        return Value::Map(HashMap::from([(map_key(&map, 0), valid_map_value(field, &map))]));
    }
    valid_scalar(&field.kind(), Rules::of(field).as_ref())
}

fn valid_item(field: &FieldDescriptor) -> Value {
    let items = Rules::of(field).and_then(|rules| rules.part("repeated")).and_then(|list| list.part("items"));
    valid_scalar(&field.kind(), items.as_ref())
}

fn map_key(map: &Rules, index: i64) -> MapKey {
    let keys = map.part("keys");
    let pattern = keys.as_ref().and_then(|keys| keys.part("string")).and_then(|strings| strings.text("pattern"));
    let key = match pattern.as_deref() {
        Some(r"\ALevel[1-4]\z") => format!("Level{}", index + 1),
        Some(other) => panic!("no keys for the pattern {other}: add them"),
        None => format!("key{index}"),
    };
    MapKey::String(key)
}

fn valid_map_value(field: &FieldDescriptor, map: &Rules) -> Value {
    let Kind::Message(entry) = field.kind() else { panic!("a map without entries") };
    valid_scalar(&entry.map_entry_value_field().kind(), map.part("values").as_ref())
}

fn valid_scalar(kind: &Kind, rules: Option<&Rules>) -> Value {
    match kind {
        Kind::Message(message) => Value::Message(valid_message(message)),
        Kind::Bool => Value::Bool(true),
        Kind::String if rules.is_none_or(is_free) => Value::String("a".to_owned()),
        _ => {
            let bounds = rules.map(bounds).unwrap_or_default();
            // The last bound stands for all: a choice, a form at its least length, or the largest number.
            bounds.into_iter().next_back().map_or_else(|| kind.default_value(), |bound| bound.inside)
        }
    }
}

/// Whether only the greatest length restricts a text. A short one is used then, so that the greatest number of them
/// fits into a request.
fn is_free(rules: &Rules) -> bool {
    let strings = rules.part("string");
    strings.is_none_or(|strings| !["min_len", "pattern", "in"].iter().any(|rule| strings.has(rule)))
}

/// A message with only its required fields.
fn valid_message(descriptor: &MessageDescriptor) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        if Rules::of(&field).is_some_and(|rules| rules.flag("required")) {
            message.set_field(&field, valid(&field));
        }
    }
    message
}
