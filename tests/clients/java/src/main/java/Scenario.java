import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.retries.DefaultRetryStrategy;
import software.amazon.awssdk.services.cognitoidentityprovider.CognitoIdentityProviderClient;
import software.amazon.awssdk.services.cognitoidentityprovider.model.*;

/**
 * A user's life with the AWS SDK for Java, where only the endpoint is changed; paginators and typed exceptions.
 *
 * <p>The environment has the variables that {@code userpool dev} writes to its dev.env.
 */
public final class Scenario {
    private static final String STAMP = Instant.now().getEpochSecond() + "" + ProcessHandle.current().pid();
    private static final String USERNAME = "hermione-" + STAMP;
    private static final String EMAIL = "hermione." + STAMP + "@example.com";
    private static final String PASSWORD = "Correct-Horse-" + STAMP;

    private final CognitoIdentityProviderClient idp;

    private Scenario(CognitoIdentityProviderClient idp) {
        this.idp = idp;
    }

    public static void main(String[] arguments) throws Exception {
        // Without retries: each refusal is checked once.
        try (var idp = CognitoIdentityProviderClient.builder()
                .httpClientBuilder(UrlConnectionHttpClient.builder())
                .overrideConfiguration(it -> it.retryStrategy(DefaultRetryStrategy.doNotRetry())
                        .apiCallTimeout(Duration.ofMinutes(1)))
                .build()) {
            new Scenario(idp).live();
        } catch (Failure failure) {
            System.err.println("  FAILED: " + failure.getMessage());
            System.exit(1);
        }
    }

    @SuppressWarnings("serial")
    private static final class Failure extends RuntimeException {
        Failure(String message) {
            super(message);
        }
    }

    private static void step(String text) {
        System.out.println("  " + text);
    }

    private static void expect(String what, Object wanted, Object found) {
        if (!wanted.equals(found)) {
            throw new Failure(what + ": wanted " + wanted + ", found " + found);
        }
    }

    /** The call must be refused with this exception; returns its message. */
    private static String refused(Class<? extends CognitoIdentityProviderException> exception, Supplier<?> call) {
        Object answer;
        try {
            answer = call.get();
        } catch (CognitoIdentityProviderException error) {
            expect("the exception", exception, error.getClass());
            expect("the status", 400, error.statusCode());
            expect("the error's code", exception.getSimpleName(), error.awsErrorDetails().errorCode());
            if (error.requestId() == null) {
                throw new Failure("an error without a request id: " + error);
            }
            return error.awsErrorDetails().errorMessage();
        }
        throw new Failure("not refused with " + exception.getSimpleName() + " but answered: " + answer);
    }

    /** The newest code in the development mailbox, as soon as there is one. */
    private static String mailedCode(String address) throws Exception {
        var where = URI.create("http://" + System.getenv("USERPOOL_HTTP_ADDR") + "/dev/messages?to="
                + URLEncoder.encode(address, StandardCharsets.UTF_8));
        var request = HttpRequest.newBuilder(where)
                .header("Accept", "application/json")
                .timeout(Duration.ofSeconds(10))
                .build();
        var http = HttpClient.newHttpClient();
        var code = Pattern.compile("\"code\"\\s*:\\s*\"([0-9]+)\"");
        for (var deadline = Instant.now().plusSeconds(20); Instant.now().isBefore(deadline); Thread.sleep(100)) {
            var found = code.matcher(http.send(request, HttpResponse.BodyHandlers.ofString()).body());
            if (found.find()) {
                return found.group(1);
            }
        }
        throw new Failure("no message with a code for " + address + " came within 20 seconds");
    }

    private String createPool(String name) {
        return idp.createUserPool(it -> it.poolName(name)
                        .policies(policies -> policies.passwordPolicy(
                                policy -> policy.minimumLength(10).requireUppercase(true).requireNumbers(true)))
                        .autoVerifiedAttributes(VerifiedAttributeType.EMAIL))
                .userPool()
                .id();
    }

    private AuthenticationResultType signIn(String app, String password) {
        return idp.initiateAuth(it -> it.clientId(app)
                        .authFlow(AuthFlowType.USER_PASSWORD_AUTH)
                        .authParameters(Map.of("USERNAME", USERNAME, "PASSWORD", password)))
                .authenticationResult();
    }

    private AuthenticationResultType byRefreshToken(String app, String token) {
        return idp.getTokensFromRefreshToken(it -> it.clientId(app).refreshToken(token))
                .authenticationResult();
    }

    private GetUserResponse getUser(AuthenticationResultType tokens) {
        return idp.getUser(it -> it.accessToken(tokens.accessToken()));
    }

    private void live() throws Exception {
        step("createUserPool, updateUserPool");
        var pool = createPool("java-" + STAMP);
        idp.updateUserPool(it -> it.userPoolId(pool)
                .policies(policies -> policies.passwordPolicy(
                        policy -> policy.minimumLength(12).requireUppercase(true).requireNumbers(true)))
                .autoVerifiedAttributes(VerifiedAttributeType.EMAIL)
                .deletionProtection(DeletionProtectionType.ACTIVE));
        var updated = idp.describeUserPool(it -> it.userPoolId(pool)).userPool();
        expect("the pool's name", "java-" + STAMP, updated.name());
        expect("the minimum length", 12, updated.policies().passwordPolicy().minimumLength());
        expect("the deletion protection", DeletionProtectionType.ACTIVE, updated.deletionProtection());
        refused(InvalidParameterException.class, () -> idp.deleteUserPool(it -> it.userPoolId(pool)));

        step("createUserPoolClient, updateUserPoolClient");
        var flows = List.of(
                ExplicitAuthFlowsType.ALLOW_USER_PASSWORD_AUTH, ExplicitAuthFlowsType.ALLOW_ADMIN_USER_PASSWORD_AUTH);
        var refreshing = new ArrayList<>(flows);
        refreshing.add(ExplicitAuthFlowsType.ALLOW_REFRESH_TOKEN_AUTH);
        var clients = new ArrayList<String>();
        for (var grace : new Integer[] {null, 0, 60}) {
            clients.add(idp.createUserPoolClient(it -> {
                        it.userPoolId(pool)
                                .clientName("with-grace-" + grace)
                                .explicitAuthFlows(flows)
                                .preventUserExistenceErrors(PreventUserExistenceErrorTypes.ENABLED);
                        if (grace != null) {
                            it.refreshTokenRotation(rotation ->
                                    rotation.feature(FeatureType.ENABLED).retryGracePeriodSeconds(grace));
                        }
                    })
                    .userPoolClient()
                    .clientId());
        }
        String app = clients.get(0), rotating = clients.get(1), graceful = clients.get(2);
        idp.updateUserPoolClient(it -> it.userPoolId(pool)
                .clientId(app)
                .clientName("front-end")
                .explicitAuthFlows(refreshing)
                .preventUserExistenceErrors(PreventUserExistenceErrorTypes.ENABLED));
        var described = idp.describeUserPoolClient(it -> it.userPoolId(pool).clientId(app))
                .userPoolClient();
        expect("the client's name", "front-end", described.clientName());
        expect("the flows", Set.copyOf(refreshing), Set.copyOf(described.explicitAuthFlows()));

        step("signUp, confirmSignUp");
        var signUp = SignUpRequest.builder()
                .clientId(app)
                .username(USERNAME)
                .password(PASSWORD)
                .userAttributes(AttributeType.builder().name("email").value(EMAIL).build())
                .build();
        refused(InvalidPasswordException.class, () -> idp.signUp(signUp.toBuilder().password("short").build()));
        var signedUp = idp.signUp(signUp);
        expect("userConfirmed", false, signedUp.userConfirmed());
        expect("the medium", DeliveryMediumType.EMAIL, signedUp.codeDeliveryDetails().deliveryMedium());
        refused(UsernameExistsException.class, () -> idp.signUp(signUp));
        refused(UserNotConfirmedException.class, () -> signIn(app, PASSWORD));
        var code = mailedCode(EMAIL);
        var wrong = code.equals("000000") ? "111111" : "000000";
        refused(CodeMismatchException.class, () -> idp.confirmSignUp(
                it -> it.clientId(app).username(USERNAME).confirmationCode(wrong)));
        idp.confirmSignUp(it -> it.clientId(app).username(USERNAME).confirmationCode(code));

        step("initiateAuth, getUser");
        refused(NotAuthorizedException.class, () -> signIn(app, "Wrong-" + PASSWORD));
        var tokens = signIn(app, PASSWORD);
        expect("the token's type", "Bearer", tokens.tokenType());
        expect("the token's time", 3600, tokens.expiresIn());
        expect("the parts of an ID token", 3, tokens.idToken().split("\\.").length);
        var user = getUser(tokens);
        expect("the user name", USERNAME, user.username());
        var attributes = user.userAttributes().stream()
                .collect(Collectors.toMap(AttributeType::name, AttributeType::value));
        expect("sub", signedUp.userSub(), attributes.get("sub"));
        expect("email", EMAIL, attributes.get("email"));
        expect("email_verified", "true", attributes.get("email_verified"));

        step("REFRESH_TOKEN_AUTH, getTokensFromRefreshToken");
        var refreshed = idp.initiateAuth(it -> it.clientId(app)
                        .authFlow(AuthFlowType.REFRESH_TOKEN_AUTH)
                        .authParameters(Map.of("REFRESH_TOKEN", tokens.refreshToken())))
                .authenticationResult();
        var again = byRefreshToken(app, tokens.refreshToken());
        for (var result : List.of(refreshed, again)) {
            if (result.refreshToken() != null) {
                throw new Failure("a refresh token came without rotation");
            }
            getUser(result);
        }

        step("revokeToken");
        refused(UnsupportedTokenTypeException.class, () -> idp.revokeToken(
                it -> it.clientId(app).token(tokens.accessToken())));
        refused(UnauthorizedException.class, () -> idp.revokeToken(
                it -> it.clientId("nobodysclient").token(tokens.refreshToken())));
        idp.revokeToken(it -> it.clientId(app).token(tokens.refreshToken()));
        idp.revokeToken(it -> it.clientId(app).token(tokens.refreshToken()));
        for (var result : List.of(tokens, refreshed, again)) {
            refused(NotAuthorizedException.class, () -> getUser(result));
        }
        refused(NotAuthorizedException.class, () -> byRefreshToken(app, tokens.refreshToken()));

        step("rotation: a new refresh token each time, and reuse ends them all");
        var first = signIn(rotating, PASSWORD);
        var second = byRefreshToken(rotating, first.refreshToken());
        if (second.refreshToken() == null || second.refreshToken().equals(first.refreshToken())) {
            throw new Failure("no new refresh token");
        }
        var third = byRefreshToken(rotating, second.refreshToken());
        getUser(third);
        refused(RefreshTokenReuseException.class, () -> byRefreshToken(rotating, first.refreshToken()));
        refused(NotAuthorizedException.class, () -> byRefreshToken(rotating, third.refreshToken()));
        refused(NotAuthorizedException.class, () -> getUser(third));

        step("rotation: the token before the newest is good within the grace period");
        var begun = signIn(graceful, PASSWORD);
        var next = byRefreshToken(graceful, begun.refreshToken());
        var repeated = byRefreshToken(graceful, begun.refreshToken());
        byRefreshToken(graceful, repeated.refreshToken());
        getUser(next);

        step("adminInitiateAuth, adminUserGlobalSignOut");
        var byAdmin = idp.adminInitiateAuth(it -> it.userPoolId(pool)
                        .clientId(app)
                        .authFlow(AuthFlowType.ADMIN_USER_PASSWORD_AUTH)
                        .authParameters(Map.of("USERNAME", USERNAME, "PASSWORD", PASSWORD)))
                .authenticationResult();
        getUser(byAdmin);
        idp.adminUserGlobalSignOut(it -> it.userPoolId(pool).username(USERNAME));
        refused(NotAuthorizedException.class, () -> getUser(byAdmin));
        refused(NotAuthorizedException.class, () -> byRefreshToken(app, byAdmin.refreshToken()));

        step("adminDeleteUser");
        var found = idp.adminGetUser(it -> it.userPoolId(pool).username(USERNAME));
        expect("the status", UserStatusType.CONFIRMED, found.userStatus());
        var age = Duration.between(found.userCreateDate(), Instant.now());
        if (age.toMinutes() < -1 || age.toHours() > 1) {
            throw new Failure("the user was created at " + found.userCreateDate());
        }
        idp.adminDeleteUser(it -> it.userPoolId(pool).username(USERNAME));
        var message = refused(UserNotFoundException.class, () -> idp.adminGetUser(
                it -> it.userPoolId(pool).username(USERNAME)));
        expect("the message", "User does not exist.", message);
        refused(UserNotFoundException.class, () -> idp.adminDeleteUser(
                it -> it.userPoolId(pool).username(USERNAME)));
        refused(UserNotFoundException.class, () -> idp.adminUserGlobalSignOut(
                it -> it.userPoolId(pool).username(USERNAME)));
        refused(NotAuthorizedException.class, () -> signIn(app, PASSWORD));

        step("listUserPoolClientsPaginator, listUserPoolsPaginator");
        var clientPages = idp.listUserPoolClientsPaginator(it -> it.userPoolId(pool).maxResults(2));
        expect("the pages of clients", List.of(2, 1), clientPages.stream()
                .map(page -> page.userPoolClients().size())
                .toList());
        expect("the clients", new TreeSet<>(clients), clientPages.userPoolClients().stream()
                .map(UserPoolClientDescription::clientId)
                .collect(Collectors.toCollection(TreeSet::new)));
        var ours = List.of(pool, createPool("java-2-" + STAMP), createPool("java-3-" + STAMP));
        var pages = idp.listUserPoolsPaginator(it -> it.maxResults(2)).stream().limit(1000).toList();
        var listed = pages.stream().flatMap(page -> page.userPools().stream())
                .map(UserPoolDescriptionType::id)
                .toList();
        if (pages.size() < 2) {
            throw new Failure("not several pages of pools");
        }
        for (var page : pages.subList(0, pages.size() - 1)) {
            expect("the size of a page that is not the last", 2, page.userPools().size());
        }
        expect("pools listed twice", 0, listed.size() - new HashSet<>(listed).size());
        expect("all of ours are listed", true, listed.containsAll(ours));
        refused(InvalidParameterException.class, () -> idp.listUserPoolClients(
                it -> it.userPoolId(pool).nextToken(pages.get(0).nextToken())));

        step("deleteUserPoolClient, deleteUserPool");
        idp.deleteUserPoolClient(it -> it.userPoolId(pool).clientId(rotating));
        refused(ResourceNotFoundException.class, () -> idp.describeUserPoolClient(
                it -> it.userPoolId(pool).clientId(rotating)));
        idp.updateUserPool(it -> it.userPoolId(pool).deletionProtection(DeletionProtectionType.INACTIVE));
        for (var id : ours) {
            idp.deleteUserPool(it -> it.userPoolId(id));
            refused(ResourceNotFoundException.class, () -> idp.describeUserPool(it -> it.userPoolId(id)));
        }
    }
}
