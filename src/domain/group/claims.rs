//! The claims about a user's groups in tokens.

use crate::domain::group::Group;

/// The claims `cognito:groups`, `cognito:roles` and `cognito:preferred_role`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupClaims<'a> {
    /// The names of all groups, the one with the best rank first.
    pub groups: Vec<&'a str>,
    /// The roles of the groups that have one, each once, in the same order.
    pub roles: Vec<&'a str>,
    /// The role of the best-ranked groups; `None` if groups of that rank name different roles.
    pub preferred_role: Option<&'a str>,
}

/// The claims that a user's groups yield. A lower precedence is a better rank; a group without one ranks last.
pub fn claims(groups: &[Group]) -> GroupClaims<'_> {
    let mut ranked: Vec<&Group> = groups.iter().collect();
    ranked.sort_by_key(|group| (rank(group), group.name.as_str()));
    let roles_of = |rank_wanted: Option<i64>| {
        let mut roles: Vec<&str> = Vec::new();
        for group in ranked.iter().filter(|group| rank_wanted.is_none_or(|wanted| rank(group) == wanted)) {
            roles.extend(group.settings.role_arn.as_deref().filter(|role| !roles.contains(role)));
        }
        roles
    };
    let best = ranked.iter().find(|group| group.settings.role_arn.is_some()).map(|group| rank(group));
    let preferred = best.map(|rank| roles_of(Some(rank))).unwrap_or_default();
    GroupClaims {
        groups: ranked.iter().map(|group| group.name.as_str()).collect(),
        roles: roles_of(None),
        preferred_role: preferred.first().copied().filter(|_| preferred.len() == 1),
    }
}

fn rank(group: &Group) -> i64 {
    group.settings.precedence.map_or(i64::MAX, i64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::group::tests::{READERS, created, group};
    use crate::proto::events::GroupSettings;

    fn named(name: &str, precedence: Option<i32>, role: Option<&str>) -> Group {
        let settings = GroupSettings { description: None, role_arn: role.map(str::to_owned), precedence };
        group(READERS, &[created(name, settings)])
    }

    #[test]
    fn a_user_without_groups_has_no_group_claims() {
        assert_eq!(claims(&[]), GroupClaims { groups: Vec::new(), roles: Vec::new(), preferred_role: None });
    }

    #[test]
    fn the_lowest_precedence_comes_first_and_none_last() {
        let groups = [
            named("a", None, Some("role-a")),
            named("b", Some(5), Some("role-b")),
            named("c", Some(0), Some("role-c")),
            named("d", Some(5), None),
        ];
        let claims = claims(&groups);
        assert_eq!(claims.groups, ["c", "b", "d", "a"]);
        assert_eq!(claims.roles, ["role-c", "role-b", "role-a"]);
        assert_eq!(claims.preferred_role, Some("role-c"));
    }

    #[test]
    fn a_tie_has_a_preferred_role_only_if_all_groups_name_the_same() {
        for precedence in [Some(1), None] {
            let same = [named("a", precedence, Some("role")), named("b", precedence, Some("role"))];
            assert_eq!((claims(&same).roles, claims(&same).preferred_role), (vec!["role"], Some("role")));
            let different = [named("a", precedence, Some("one")), named("b", precedence, Some("other"))];
            assert_eq!((claims(&different).roles, claims(&different).preferred_role), (vec!["one", "other"], None));
            let better = named("c", Some(0), Some("best"));
            let [one, other] = different;
            assert_eq!(claims(&[one, other, better]).preferred_role, Some("best"));
        }
    }

    #[test]
    fn a_group_without_a_role_does_not_change_the_preferred_role() {
        let groups = [named("a", Some(0), None), named("b", Some(1), Some("role"))];
        assert_eq!(claims(&groups).preferred_role, Some("role"));
        assert_eq!(claims(&groups[..1]).preferred_role, None);
    }
}
