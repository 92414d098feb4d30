//! A sign-up that is confirmed by the link of an e-mail, as a browser follows it.

use serde_json::Value;
use userpool::proto::v1::*;

use crate::support::client::assert_refused;
use crate::support::http::{self, Answer};
use crate::support::pool::{Pool, email_pool, password_client, texts, unique};

fn link_pool() -> CreateUserPoolRequest {
    let template = VerificationMessageTemplateType {
        default_email_option: Some("CONFIRM_WITH_LINK".into()),
        email_message_by_link: Some("<p>Hello {username}, {##this is your link##}.</p>".into()),
        email_subject_by_link: Some("Welcome {username}".into()),
        ..Default::default()
    };
    CreateUserPoolRequest { verification_message_template: Some(template), ..email_pool() }
}

/// A user with a name that needs escaping, who signed up, and their newest message.
struct Invited {
    pool: Pool,
    username: String,
    email: String,
    message: Value,
}

impl Invited {
    async fn to(pool: Pool) -> Self {
        let name = unique("link");
        let (username, email) = (format!("{name}&<ü>"), format!("{name}@example.com"));
        pool.sign_up(&username, &[("email", &email)]).await.unwrap();
        let message = pool.api.messages_for(&email, 1).await.remove(0);
        Self { pool, username, email, message }
    }

    /// Path and query of the link.
    fn link(&self) -> String {
        let link = self.message["link"].as_str().expect("the message has a link");
        let issuer_path = format!("/{}/confirmUser?", self.pool.id);
        let (_, parameters) = link.split_once(&issuer_path).unwrap_or_else(|| panic!("{link}"));
        format!("{issuer_path}{parameters}")
    }

    async fn get(&self, path: &str) -> Answer {
        http::get(self.pool.api.next().http, path).await
    }

    async fn press(&self, path: &str) -> Answer {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        http::send(self.pool.api.next().http, "POST", path, &form, b"").await
    }

    async fn status(&self) -> String {
        self.pool.admin_get_user(&self.username).await.unwrap().user_status().to_owned()
    }
}

fn title(answer: &Answer) -> String {
    let text = answer.text();
    let (_, rest) = text.split_once("<h1>").expect("a page with a heading");
    rest.split_once("</h1>").expect("a heading").0.to_owned()
}

/// Asserts the headers that each page needs: a code stands in its address, and others must not press its button.
fn assert_safe(answer: &Answer) {
    let header = |name: &str| answer.headers.get(name).map(String::as_str).unwrap_or_default();
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert_eq!((header("referrer-policy"), header("cache-control")), ("no-referrer", "no-store"));
    assert_eq!((header("x-content-type-options"), header("x-robots-tag")), ("nosniff", "noindex"));
    let policy = header("content-security-policy");
    for part in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    let text = answer.text();
    assert!(text.contains("<html lang=en>") && text.contains("<main>"), "{text}");
    assert!(!text.contains("http:") && !text.contains("https:") && !text.contains("<script"), "{text}");
}

#[tokio::test]
async fn a_link_confirms_once_its_page_is_told_to() {
    let invited = Invited::to(Pool::create_with(link_pool(), password_client()).await).await;
    let shown = invited.username.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    assert_eq!(invited.message["subject"], format!("Welcome {}", invited.username));
    let address = invited.message["link"].as_str().unwrap().replace('&', "&amp;");
    let body = format!("<p>Hello {shown}, <a href=\"{address}\">this is your link</a>.</p>");
    assert_eq!(invited.message["body"], body);

    // A program that opens the links of an e-mail before its reader confirms nothing.
    for _ in 0..2 {
        let page = invited.get(&invited.link()).await;
        assert_eq!((page.status, title(&page).as_str()), (200, "Confirm your e-mail address"));
        assert_safe(&page);
        assert!(page.text().contains("<form method=post><button>Confirm</button></form>"));
        assert!(!page.text().contains(invited.message["code"].as_str().unwrap()), "nothing of the link is repeated");
    }
    assert_eq!(invited.status().await, "UNCONFIRMED");

    let confirmed = invited.press(&invited.link()).await;
    assert_eq!((confirmed.status, title(&confirmed).as_str()), (200, "Your registration is confirmed"));
    assert_safe(&confirmed);
    let user = invited.pool.admin_get_user(&invited.username).await.unwrap();
    assert_eq!(user.user_status(), "CONFIRMED");
    let verified = user.user_attributes.iter().find(|it| it.name() == "email_verified").unwrap();
    assert_eq!(verified.value(), "true");
    invited.pool.sign_in(&invited.username, crate::support::pool::PASSWORD).await.unwrap();

    let again = invited.press(&invited.link()).await;
    assert_eq!((again.status, title(&again).as_str()), (400, "There is nothing to confirm"));
    assert_safe(&again);
    invited.pool.verify().await;
}

#[tokio::test]
async fn a_newer_link_takes_the_place_of_an_older_one() {
    let mut invited = Invited::to(Pool::create_with(link_pool(), password_client()).await).await;
    let old = invited.link();
    let request = ResendConfirmationCodeRequest {
        client_id: Some(invited.pool.client_id.clone()),
        username: Some(invited.username.clone()),
        ..Default::default()
    };
    invited.pool.api.call(request).await.unwrap();
    invited.message = invited.pool.api.messages_for(&invited.email, 2).await.remove(0);
    let refused = invited.press(&old).await;
    assert_eq!((refused.status, title(&refused).as_str()), (400, "This link is not valid"));
    // Cognito's own links have a slash before the parameters.
    let link = invited.link().replace("/confirmUser?", "/confirmUser/?");
    assert_eq!(invited.get(&link).await.status, 200);
    assert_eq!(invited.press(&link).await.status, 200);
    assert_eq!(invited.status().await, "CONFIRMED");
    invited.pool.verify().await;
}

#[tokio::test]
async fn a_client_with_a_secret_sends_links_that_need_none() {
    let client = CreateUserPoolClientRequest { generate_secret: Some(true), ..password_client() };
    let pool = Pool::create_with(link_pool(), client).await;
    let request =
        DescribeUserPoolClientRequest { user_pool_id: Some(pool.id.clone()), client_id: Some(pool.client_id.clone()) };
    let secret = pool.api.call(request).await.unwrap().user_pool_client.unwrap().client_secret.unwrap();
    let name = unique("secret");
    let email = format!("{name}@example.com");
    let hash = crate::support::pool::secret_hash(&secret, &name, &pool.client_id);
    let request = SignUpRequest { secret_hash: Some(hash), ..pool.sign_up_request(&name, &[("email", &email)]) };
    pool.api.call(request).await.unwrap();
    let message = pool.api.messages_for(&email, 1).await.remove(0);
    let code = message["code"].as_str().unwrap();
    assert_eq!(pool.confirm(&name, code).await.unwrap_err().exception, "NotAuthorizedException");
    let invited = Invited { username: name, email, message, pool };
    assert_eq!(invited.press(&invited.link()).await.status, 200);
    assert_eq!(invited.status().await, "CONFIRMED");
    invited.pool.verify().await;
}

#[tokio::test]
async fn an_invalid_link_confirms_nobody_and_reveals_nothing() {
    let invited = Invited::to(Pool::create_with(link_pool(), password_client()).await).await;
    let other = Pool::create_with(link_pool(), password_client()).await;
    let link = invited.link();
    let (path, _) = link.split_once('?').unwrap();
    let code = invited.message["code"].as_str().unwrap();
    let wrong = if code == "000000" { "111111" } else { "000000" };
    let long = "a".repeat(200);
    let links = [
        // An incomplete query, or a malformed one.
        path.to_owned(),
        format!("{path}?client_id=&user_name=&confirmation_code="),
        link.replace("confirmation_code=", "code="),
        format!("{path}?client_id=%FF&user_name=%FF&confirmation_code=%FF"),
        link.replace("user_name=", &format!("user_name={long}")),
        // A wrong code, an unknown name, another client, another pool.
        link.replace(code, wrong),
        link.replace("user_name=", "user_name=nobody"),
        link.replace(&invited.pool.client_id, &other.client_id),
        link.replace(&invited.pool.client_id, "nosuchclient"),
        link.replace(&invited.pool.id, &other.id),
        link.replace(&invited.pool.id, "nopool"),
    ];
    for link in links {
        let refused = invited.press(&link).await;
        assert_eq!((refused.status, title(&refused).as_str()), (400, "This link is not valid"), "{link}");
        assert_safe(&refused);
    }
    assert_eq!(invited.status().await, "UNCONFIRMED");
    assert_eq!(title(&invited.get(path).await), "This link is not valid");
    // The link's code is valid for ConfirmSignUp as well.
    invited.pool.confirm(&invited.username, code).await.unwrap();
    other.verify().await;
    invited.pool.verify().await;
}

#[tokio::test]
async fn five_wrong_links_spend_the_code() {
    let invited = Invited::to(Pool::create_with(link_pool(), password_client()).await).await;
    let code = invited.message["code"].as_str().unwrap();
    let wrong = if code == "000000" { "111111" } else { "000000" };
    for _ in 0..5 {
        assert_eq!(title(&invited.press(&invited.link().replace(code, wrong)).await), "This link is not valid");
    }
    let spent = invited.press(&invited.link()).await;
    assert_eq!(title(&spent), "Too many attempts");
    assert_safe(&spent);
    assert_eq!(invited.status().await, "UNCONFIRMED");
    invited.pool.verify().await;
}

#[tokio::test]
async fn a_link_takes_no_alias_from_another_user() {
    let aliases = CreateUserPoolRequest { alias_attributes: texts(&["email"]), ..link_pool() };
    let pool = Pool::create_with(aliases, password_client()).await;
    let owner = pool.person("owner").await;
    let name = unique("taker");
    pool.sign_up(&name, &[("email", &owner.email)]).await.unwrap();
    let message = pool.api.messages_for(&owner.email, 2).await.remove(0);
    let taker = Invited { username: name, email: owner.email, message, pool };
    let refused = taker.press(&taker.link()).await;
    assert_eq!((refused.status, title(&refused).as_str()), (400, "This address belongs to another account"));
    assert_safe(&refused);
    taker.pool.verify().await;
}

#[tokio::test]
async fn a_pool_that_sends_codes_takes_no_links() {
    let pool = Pool::create_with(email_pool(), password_client()).await;
    let name = unique("code");
    let email = format!("{name}@example.com");
    pool.sign_up(&name, &[("email", &email)]).await.unwrap();
    let message = pool.api.messages_for(&email, 1).await.remove(0);
    assert_eq!(message["link"], Value::Null);
    let code = message["code"].as_str().unwrap();
    let link =
        format!("/{}/confirmUser?client_id={}&user_name={name}&confirmation_code={code}", pool.id, pool.client_id);
    let invited = Invited { username: name, email, message: message.clone(), pool };
    assert_eq!(title(&invited.press(&link).await), "This link is not valid");
    assert_eq!(invited.status().await, "UNCONFIRMED");
    assert_refused(
        invited.pool.confirm(&invited.username, "wrong").await,
        "CodeMismatchException",
        "Invalid verification code provided, please try again.",
    );
    invited.pool.verify().await;
}
