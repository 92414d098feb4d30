//! The refusals that an rpc declares, with its sets expanded. The build and the tests share this file.

use prost_reflect::{DynamicMessage, EnumDescriptor, ExtensionDescriptor, MethodDescriptor, Value};

type Failure = Box<dyn std::error::Error>;

/// A refusal as the contract declares it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The name of the exception.
    pub exception: String,
    /// When it is answered, or `never: ` and why it can't occur. Empty while the operation is not built.
    pub when: String,
    /// The exception's message, as Markdown.
    pub message: String,
}

/// One entry of a list of refusals.
pub enum Entry {
    /// A refusal that is declared in place.
    Own(Refusal),
    /// The number of a set: its refusals take the entry's place.
    Set(i32),
}

/// All refusals of an operation in their order, with each set replaced by its refusals.
pub fn of(method: &MethodDescriptor) -> Result<Vec<Refusal>, Failure> {
    let sets = Sets::of(method)?;
    let mut refusals = Vec::new();
    for entry in entries(method)? {
        sets.write_out(entry, i32::MAX, &mut refusals).map_err(|wrong| format!("{}: {wrong}", method.name()))?;
    }
    Ok(refusals)
}

/// The entries that an rpc declares, with sets by number.
pub fn entries(method: &MethodDescriptor) -> Result<Vec<Entry>, Failure> {
    let option = extension(method, "operation")?;
    let options = method.options();
    let declared = options.get_extension(&option);
    let operation = declared.as_message().ok_or("an rpc without option userpool.v1.operation")?;
    listed(&*operation.get_field_by_name("refusals").ok_or("no field refusals")?)
}

/// The refusal sets of the contract.
pub struct Sets {
    kind: EnumDescriptor,
    option: ExtensionDescriptor,
}

impl Sets {
    /// The sets of the contract that declares this rpc.
    pub fn of(method: &MethodDescriptor) -> Result<Self, Failure> {
        let kind = method.parent_pool().get_enum_by_name("userpool.v1.RefusalSet").ok_or("no enum RefusalSet")?;
        Ok(Self { kind, option: extension(method, "refusal")? })
    }

    /// The entries that a set declares.
    pub fn entries(&self, number: i32) -> Result<Vec<Entry>, Failure> {
        let set = self.kind.get_value(number).ok_or("a set that is not declared")?;
        let options = set.options();
        let entries = listed(&options.get_extension(&self.option))?;
        if entries.is_empty() { Err(format!("{} has no refusals", set.name()).into()) } else { Ok(entries) }
    }

    /// Adds the refusals of an entry. A set includes only sets that are declared before it, so no set includes itself.
    fn write_out(&self, entry: Entry, before: i32, refusals: &mut Vec<Refusal>) -> Result<(), Failure> {
        match entry {
            Entry::Own(refusal) => refusals.push(refusal),
            Entry::Set(number) if number < before => {
                for entry in self.entries(number)? {
                    self.write_out(entry, number, refusals)?;
                }
            }
            Entry::Set(_) => return Err("a set includes one that is declared after it".into()),
        }
        Ok(())
    }
}

fn extension(method: &MethodDescriptor, name: &str) -> Result<ExtensionDescriptor, Failure> {
    let found = method.parent_pool().get_extension_by_name(&format!("userpool.v1.{name}"));
    Ok(found.ok_or_else(|| format!("no option userpool.v1.{name}"))?)
}

fn listed(refusals: &Value) -> Result<Vec<Entry>, Failure> {
    let refusals = refusals.as_list().ok_or("not a list of refusals")?;
    refusals.iter().map(|refusal| entry(refusal.as_message().ok_or("not a refusal")?)).collect()
}

fn entry(message: &DynamicMessage) -> Result<Entry, Failure> {
    let text = |field: &str| -> Result<String, Failure> {
        let value = message.get_field_by_name(field).ok_or("no such field of a refusal")?;
        Ok(value.as_str().ok_or("not a text")?.to_owned())
    };
    let refusal = Refusal { exception: text("exception")?, when: text("when")?, message: text("message")? };
    let set = message.get_field_by_name("set").and_then(|value| value.as_enum_number()).ok_or("no field set")?;
    match (set, refusal.exception.is_empty()) {
        (0, false) => Ok(Entry::Own(refusal)),
        (set, true) if set != 0 && refusal.when.is_empty() && refusal.message.is_empty() => Ok(Entry::Set(set)),
        _ => Err("a refusal names either a set or an exception".into()),
    }
}
