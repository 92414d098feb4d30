//! AddCustomAttributes: the rules.

use crate::domain::attributes;
use crate::domain::decision::{Decision, NoFacts};
use crate::domain::user_pool::UserPool;
use crate::proto::events::CustomAttributesAdded;
use crate::proto::events::user_pool_event::Event;
use crate::proto::v1;

/// Decides which custom attributes are added to a pool. They can be neither changed nor removed later.
pub fn add_custom_attributes(
    pool: &UserPool,
    asked: &[v1::SchemaAttributeType],
    most: u32,
) -> Decision<Event, NoFacts, ()> {
    match attributes::schema::added(&pool.schema, asked, most) {
        Ok(attributes) => {
            Decision::events(vec![Event::CustomAttributesAdded(CustomAttributesAdded { attributes })], ())
        }
        Err(error) => Decision::refuse(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decision::replay;
    use crate::domain::error::Exception;
    use crate::domain::ids::StreamId;
    use crate::domain::testing::{at, pool, refusal, refused_parameter, written};

    fn asked(name: &str, kind: &str) -> v1::SchemaAttributeType {
        v1::SchemaAttributeType {
            name: Some(name.to_owned()),
            attribute_data_type: Some(kind.to_owned()),
            ..Default::default()
        }
    }

    fn some_pool() -> UserPool {
        pool(v1::CreateUserPoolRequest { schema: vec![asked("age", "Number")], ..Default::default() })
    }

    fn grown(asked: &[v1::SchemaAttributeType]) -> UserPool {
        let before = some_pool();
        let decision = add_custom_attributes(&before, asked, 50);
        decision.answer.unwrap();
        replay(Some(before), &StreamId::pool(), decision.events.iter().map(|event| (event, at(7)))).unwrap()
    }

    #[test]
    fn added_attributes_constrain_every_later_write() {
        let level = v1::SchemaAttributeType {
            number_attribute_constraints: Some(v1::NumberAttributeConstraintsType {
                min_value: Some("1".to_owned()),
                max_value: Some("5".to_owned()),
            }),
            ..asked("level", "Number")
        };
        let note = v1::SchemaAttributeType { developer_only_attribute: Some(true), ..asked("note", "String") };
        let pool = grown(&[level, note]);
        assert_eq!((pool.schema.len(), pool.modified_at), (some_pool().schema.len() + 2, at(7)));
        let conform = |name: &str, value: &str, writer| {
            attributes::conform(&pool.schema, &written(&[(name, value)]), writer).map(drop)
        };
        let client = attributes::Writer::Client(attributes::Permitted::All);
        conform("custom:level", "5", client).unwrap();
        assert!(refusal(conform("custom:level", "6", client)).1.contains("must be at most 5"));
        assert_eq!(refusal(conform("dev:custom:note", "x", client)).0, Exception::NotAuthorizedException);
        conform("dev:custom:note", "x", attributes::Writer::Administrator).unwrap();
    }

    #[test]
    fn an_invalid_addition_is_refused_as_a_whole() {
        let refused =
            |asked: &[v1::SchemaAttributeType]| refused_parameter(add_custom_attributes(&some_pool(), asked, 50));
        let taken = "custom:age: Existing attribute already has name custom:age.";
        assert_eq!(refused(&[asked("new", "String"), asked("age", "String")]), taken);
        let twice = "custom:new: Existing attribute already has name custom:new.";
        assert_eq!(refused(&[asked("new", "String"), asked("new", "Number")]), twice);
        let hidden =
            |name: &str| v1::SchemaAttributeType { developer_only_attribute: Some(true), ..asked(name, "String") };
        let message = "custom:banana: Existing attribute already has name dev:custom:banana.";
        for other in [hidden("banana"), asked("banana", "Number")] {
            assert_eq!(refused(&[hidden("banana"), other]), message);
        }
        assert_eq!(refused(&[hidden("age")]), taken, "a name is one name, whoever sees it");
        let untyped = v1::SchemaAttributeType { attribute_data_type: None, ..asked("new", "String") };
        assert!(refused(&[untyped]).starts_with("Invalid AttributeDataType input"));
        let required = v1::SchemaAttributeType { required: Some(true), ..asked("new", "String") };
        assert_eq!(refused(&[required]), "Required custom attributes are not supported currently.");
        assert!(refused(&[asked("custom:new", "String")]).contains("colon"));
        let many: Vec<_> = (0..50).map(|index| asked(&format!("a{index}"), "String")).collect();
        assert!(refused(&many).contains("at most 50"));
        assert_eq!(grown(&many[..49]).schema.len(), some_pool().schema.len() + 49);
    }

    #[test]
    fn a_custom_attribute_may_have_the_name_of_a_standard_one() {
        assert!(grown(&[asked("email", "Boolean")]).schema.iter().any(|known| known.name() == "custom:email"));
    }
}
