// A user's life with the AWS SDK for Go, where only the endpoint is changed; paginators and typed
// errors.
//
// The environment has the variables that `userpool dev` writes to its dev.env.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	idp "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/smithy-go"
)

var (
	stamp    = fmt.Sprintf("%d%d", time.Now().Unix(), os.Getpid())
	username = "perdita-" + stamp
	email    = "perdita." + stamp + "@example.com"
	password = "Correct-Horse-" + stamp
)

func step(text string) { fmt.Println("  " + text) }

// fail ends the program; main prints the reason.
func fail(format string, arguments ...any) { panic(failure(fmt.Sprintf(format, arguments...))) }

type failure string

func expect[T comparable](what string, wanted, found T) {
	if wanted != found {
		fail("%s: wanted %v, found %v", what, wanted, found)
	}
}

// must returns the answer of a call that must not fail.
func must[T any](answer T, err error) T {
	if err != nil {
		fail("%v", err)
	}
	return answer
}

// refused checks that a call failed with the exception E, and returns its message.
func refused[E interface {
	error
	smithy.APIError
}](answer any, err error) string {
	var exception E
	name := reflect.TypeOf(exception).Elem().Name()
	if err == nil {
		fail("not refused with %s but answered %+v", name, answer)
	}
	if !errors.As(err, &exception) {
		fail("wanted %s, found %v", name, err)
	}
	var response *awshttp.ResponseError
	if !errors.As(err, &response) {
		fail("an error without a response: %v", err)
	}
	expect("the status of "+name, http.StatusBadRequest, response.HTTPStatusCode())
	expect("the fault of "+name, smithy.FaultClient, exception.ErrorFault())
	if response.ServiceRequestID() == "" {
		fail("an error without a request id: %v", err)
	}
	return exception.ErrorMessage()
}

// mailedCode returns the newest code in the development mailbox, as soon as there is one.
func mailedCode(ctx context.Context, address string) string {
	where := "http://" + os.Getenv("USERPOOL_HTTP_ADDR") + "/dev/messages?" + url.Values{"to": {address}}.Encode()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		request := must(http.NewRequestWithContext(ctx, http.MethodGet, where, nil))
		request.Header.Set("Accept", "application/json")
		response := must(http.DefaultClient.Do(request))
		var messages []struct{ Code string }
		err := json.NewDecoder(response.Body).Decode(&messages)
		response.Body.Close()
		if err != nil {
			fail("the mailbox: %v", err)
		}
		for _, message := range messages {
			if message.Code != "" {
				return message.Code
			}
		}
	}
	fail("no message with a code for %s came within 20 seconds", address)
	return ""
}

func main() {
	// For the whole program, because single calls have no limit of their own.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	defer func() {
		switch problem := recover().(type) {
		case nil:
		case failure:
			fmt.Fprintln(os.Stderr, "  FAILED:", string(problem))
			os.Exit(1)
		default:
			panic(problem)
		}
	}()
	// Without retries: each refusal is checked once.
	configuration := must(config.LoadDefaultConfig(ctx, config.WithRetryMaxAttempts(1)))
	live(ctx, idp.NewFromConfig(configuration))
}

func live(ctx context.Context, client *idp.Client) {
	step("CreateUserPool, UpdateUserPool")
	created := must(client.CreateUserPool(ctx, &idp.CreateUserPoolInput{
		PoolName: aws.String("go-" + stamp),
		Policies: &types.UserPoolPolicyType{PasswordPolicy: &types.PasswordPolicyType{
			MinimumLength: aws.Int32(10), RequireUppercase: true, RequireNumbers: true,
		}},
		AutoVerifiedAttributes: []types.VerifiedAttributeType{types.VerifiedAttributeTypeEmail},
	}))
	pool := created.UserPool.Id
	must(client.UpdateUserPool(ctx, &idp.UpdateUserPoolInput{
		UserPoolId: pool,
		Policies: &types.UserPoolPolicyType{PasswordPolicy: &types.PasswordPolicyType{
			MinimumLength: aws.Int32(12), RequireUppercase: true, RequireNumbers: true,
		}},
		AutoVerifiedAttributes: []types.VerifiedAttributeType{types.VerifiedAttributeTypeEmail},
		DeletionProtection:     types.DeletionProtectionTypeActive,
	}))
	updated := must(client.DescribeUserPool(ctx, &idp.DescribeUserPoolInput{UserPoolId: pool})).UserPool
	expect("the pool's name", "go-"+stamp, *updated.Name)
	expect("the minimum length", 12, *updated.Policies.PasswordPolicy.MinimumLength)
	expect("the deletion protection", types.DeletionProtectionTypeActive, updated.DeletionProtection)
	refused[*types.InvalidParameterException](client.DeleteUserPool(ctx, &idp.DeleteUserPoolInput{UserPoolId: pool}))

	step("CreateUserPoolClient, UpdateUserPoolClient")
	flows := []types.ExplicitAuthFlowsType{
		types.ExplicitAuthFlowsTypeAllowUserPasswordAuth, types.ExplicitAuthFlowsTypeAllowAdminUserPasswordAuth,
	}
	refreshing := append(slices.Clone(flows), types.ExplicitAuthFlowsTypeAllowRefreshTokenAuth)
	createClient := func(name string, rotation *types.RefreshTokenRotationType) *string {
		return must(client.CreateUserPoolClient(ctx, &idp.CreateUserPoolClientInput{
			UserPoolId:                 pool,
			ClientName:                 aws.String(name),
			ExplicitAuthFlows:          flows,
			PreventUserExistenceErrors: types.PreventUserExistenceErrorTypesEnabled,
			RefreshTokenRotation:       rotation,
		})).UserPoolClient.ClientId
	}
	app := createClient("front-end", nil)
	must(client.UpdateUserPoolClient(ctx, &idp.UpdateUserPoolClientInput{
		UserPoolId:                 pool,
		ClientId:                   app,
		ClientName:                 aws.String("front-end-2"),
		ExplicitAuthFlows:          refreshing,
		PreventUserExistenceErrors: types.PreventUserExistenceErrorTypesEnabled,
	}))
	described := must(client.DescribeUserPoolClient(ctx, &idp.DescribeUserPoolClientInput{UserPoolId: pool, ClientId: app}))
	expect("the client's name", "front-end-2", *described.UserPoolClient.ClientName)
	expect("the number of flows", len(refreshing), len(described.UserPoolClient.ExplicitAuthFlows))
	rotating := createClient("rotating", &types.RefreshTokenRotationType{
		Feature: types.FeatureTypeEnabled, RetryGracePeriodSeconds: aws.Int32(0),
	})
	graceful := createClient("graceful", &types.RefreshTokenRotationType{
		Feature: types.FeatureTypeEnabled, RetryGracePeriodSeconds: aws.Int32(60),
	})

	step("SignUp, ConfirmSignUp")
	signUp := idp.SignUpInput{
		ClientId:       app,
		Username:       &username,
		Password:       &password,
		UserAttributes: []types.AttributeType{{Name: aws.String("email"), Value: &email}},
	}
	weak := signUp
	weak.Password = aws.String("short")
	refused[*types.InvalidPasswordException](client.SignUp(ctx, &weak))
	signedUp := must(client.SignUp(ctx, &signUp))
	expect("UserConfirmed", false, signedUp.UserConfirmed)
	expect("the medium", types.DeliveryMediumTypeEmail, signedUp.CodeDeliveryDetails.DeliveryMedium)
	refused[*types.UsernameExistsException](client.SignUp(ctx, &signUp))
	signIn := func(clientId *string, password string) (*idp.InitiateAuthOutput, error) {
		return client.InitiateAuth(ctx, &idp.InitiateAuthInput{
			ClientId:       clientId,
			AuthFlow:       types.AuthFlowTypeUserPasswordAuth,
			AuthParameters: map[string]string{"USERNAME": username, "PASSWORD": password},
		})
	}
	refused[*types.UserNotConfirmedException](signIn(app, password))
	confirm := func(code string) (*idp.ConfirmSignUpOutput, error) {
		return client.ConfirmSignUp(ctx, &idp.ConfirmSignUpInput{
			ClientId: app, Username: &username, ConfirmationCode: &code,
		})
	}
	code := mailedCode(ctx, email)
	wrong := "000000"
	if code == wrong {
		wrong = "111111"
	}
	refused[*types.CodeMismatchException](confirm(wrong))
	must(confirm(code))

	step("InitiateAuth, GetUser")
	refused[*types.NotAuthorizedException](signIn(app, "Wrong-"+password))
	tokens := must(signIn(app, password)).AuthenticationResult
	expect("the token's type", "Bearer", *tokens.TokenType)
	expect("the token's time", 3600, tokens.ExpiresIn)
	expect("the parts of an ID token", 3, len(strings.Split(*tokens.IdToken, ".")))
	getUser := func(token *string) (*idp.GetUserOutput, error) {
		return client.GetUser(ctx, &idp.GetUserInput{AccessToken: token})
	}
	user := must(getUser(tokens.AccessToken))
	expect("the user name", username, *user.Username)
	attributes := map[string]string{}
	for _, attribute := range user.UserAttributes {
		attributes[*attribute.Name] = *attribute.Value
	}
	expect("sub", *signedUp.UserSub, attributes["sub"])
	expect("email", email, attributes["email"])
	expect("email_verified", "true", attributes["email_verified"])

	step("REFRESH_TOKEN_AUTH, GetTokensFromRefreshToken")
	refreshed := must(client.InitiateAuth(ctx, &idp.InitiateAuthInput{
		ClientId:       app,
		AuthFlow:       types.AuthFlowTypeRefreshTokenAuth,
		AuthParameters: map[string]string{"REFRESH_TOKEN": *tokens.RefreshToken},
	})).AuthenticationResult
	byRefreshToken := func(clientId, token *string) (*idp.GetTokensFromRefreshTokenOutput, error) {
		return client.GetTokensFromRefreshToken(ctx, &idp.GetTokensFromRefreshTokenInput{
			ClientId: clientId, RefreshToken: token,
		})
	}
	again := must(byRefreshToken(app, tokens.RefreshToken)).AuthenticationResult
	for _, result := range []*types.AuthenticationResultType{refreshed, again} {
		if result.RefreshToken != nil {
			fail("a refresh token came without rotation")
		}
		must(getUser(result.AccessToken))
	}

	step("RevokeToken")
	revoke := func(clientId, token *string) (*idp.RevokeTokenOutput, error) {
		return client.RevokeToken(ctx, &idp.RevokeTokenInput{ClientId: clientId, Token: token})
	}
	refused[*types.UnsupportedTokenTypeException](revoke(app, tokens.AccessToken))
	refused[*types.UnauthorizedException](revoke(aws.String("nobodysclient"), tokens.RefreshToken))
	must(revoke(app, tokens.RefreshToken))
	must(revoke(app, tokens.RefreshToken))
	for _, result := range []*types.AuthenticationResultType{tokens, refreshed, again} {
		refused[*types.NotAuthorizedException](getUser(result.AccessToken))
	}
	refused[*types.NotAuthorizedException](byRefreshToken(app, tokens.RefreshToken))

	step("rotation: a new refresh token each time, and reuse ends them all")
	first := must(signIn(rotating, password)).AuthenticationResult
	second := must(byRefreshToken(rotating, first.RefreshToken)).AuthenticationResult
	if second.RefreshToken == nil || *second.RefreshToken == *first.RefreshToken {
		fail("no new refresh token")
	}
	third := must(byRefreshToken(rotating, second.RefreshToken)).AuthenticationResult
	must(getUser(third.AccessToken))
	refused[*types.RefreshTokenReuseException](byRefreshToken(rotating, first.RefreshToken))
	refused[*types.NotAuthorizedException](byRefreshToken(rotating, third.RefreshToken))
	refused[*types.NotAuthorizedException](getUser(third.AccessToken))

	step("rotation: the token before the newest is good within the grace period")
	begun := must(signIn(graceful, password)).AuthenticationResult
	next := must(byRefreshToken(graceful, begun.RefreshToken)).AuthenticationResult
	repeated := must(byRefreshToken(graceful, begun.RefreshToken)).AuthenticationResult
	must(byRefreshToken(graceful, repeated.RefreshToken))
	must(getUser(next.AccessToken))

	step("AdminInitiateAuth, AdminUserGlobalSignOut")
	byAdmin := must(client.AdminInitiateAuth(ctx, &idp.AdminInitiateAuthInput{
		UserPoolId:     pool,
		ClientId:       app,
		AuthFlow:       types.AuthFlowTypeAdminUserPasswordAuth,
		AuthParameters: map[string]string{"USERNAME": username, "PASSWORD": password},
	})).AuthenticationResult
	must(getUser(byAdmin.AccessToken))
	signOut := &idp.AdminUserGlobalSignOutInput{UserPoolId: pool, Username: &username}
	must(client.AdminUserGlobalSignOut(ctx, signOut))
	refused[*types.NotAuthorizedException](getUser(byAdmin.AccessToken))
	refused[*types.NotAuthorizedException](byRefreshToken(app, byAdmin.RefreshToken))

	step("AdminDeleteUser")
	get := &idp.AdminGetUserInput{UserPoolId: pool, Username: &username}
	found := must(client.AdminGetUser(ctx, get))
	expect("the status", types.UserStatusTypeConfirmed, found.UserStatus)
	if age := time.Since(*found.UserCreateDate); age < -time.Minute || age > time.Hour {
		fail("the user was created at %v", found.UserCreateDate)
	}
	remove := &idp.AdminDeleteUserInput{UserPoolId: pool, Username: &username}
	must(client.AdminDeleteUser(ctx, remove))
	message := refused[*types.UserNotFoundException](client.AdminGetUser(ctx, get))
	expect("the message", "User does not exist.", message)
	refused[*types.UserNotFoundException](client.AdminDeleteUser(ctx, remove))
	refused[*types.UserNotFoundException](client.AdminUserGlobalSignOut(ctx, signOut))
	refused[*types.NotAuthorizedException](signIn(app, password))

	step("ListUserPoolClientsPaginator, ListUserPoolsPaginator")
	var clients []string
	clientPages := idp.NewListUserPoolClientsPaginator(client, &idp.ListUserPoolClientsInput{UserPoolId: pool},
		func(options *idp.ListUserPoolClientsPaginatorOptions) { options.Limit = 2 })
	pages := 0
	for ; clientPages.HasMorePages(); pages++ {
		for _, description := range must(clientPages.NextPage(ctx)).UserPoolClients {
			clients = append(clients, *description.ClientId)
		}
	}
	wanted := []string{*app, *rotating, *graceful}
	slices.Sort(wanted)
	slices.Sort(clients)
	expect("the clients", strings.Join(wanted, " "), strings.Join(clients, " "))
	expect("the pages of clients", 2, pages)

	ours := []string{*pool}
	for _, name := range []string{"go-2-" + stamp, "go-3-" + stamp} {
		more := must(client.CreateUserPool(ctx, &idp.CreateUserPoolInput{PoolName: aws.String(name)}))
		ours = append(ours, *more.UserPool.Id)
	}
	listed := map[string]bool{}
	var nextToken *string
	poolPages := idp.NewListUserPoolsPaginator(client, &idp.ListUserPoolsInput{MaxResults: aws.Int32(2)})
	for pages = 0; poolPages.HasMorePages(); pages++ {
		page := must(poolPages.NextPage(ctx))
		if pages > 1000 {
			fail("the pages have no end")
		}
		if page.NextToken != nil {
			expect("the size of a page that is not the last", 2, len(page.UserPools))
			nextToken = page.NextToken
		}
		for _, description := range page.UserPools {
			if listed[*description.Id] {
				fail("%s is listed twice", *description.Id)
			}
			listed[*description.Id] = true
		}
	}
	if pages < 2 {
		fail("not several pages of pools")
	}
	for _, id := range ours {
		expect("listed", true, listed[id])
	}
	refused[*types.InvalidParameterException](client.ListUserPoolClients(ctx, &idp.ListUserPoolClientsInput{
		UserPoolId: pool, NextToken: nextToken,
	}))

	step("DeleteUserPoolClient, DeleteUserPool")
	must(client.DeleteUserPoolClient(ctx, &idp.DeleteUserPoolClientInput{UserPoolId: pool, ClientId: rotating}))
	refused[*types.ResourceNotFoundException](
		client.DescribeUserPoolClient(ctx, &idp.DescribeUserPoolClientInput{UserPoolId: pool, ClientId: rotating}))
	must(client.UpdateUserPool(ctx, &idp.UpdateUserPoolInput{
		UserPoolId: pool, DeletionProtection: types.DeletionProtectionTypeInactive,
	}))
	for _, id := range ours {
		must(client.DeleteUserPool(ctx, &idp.DeleteUserPoolInput{UserPoolId: &id}))
		refused[*types.ResourceNotFoundException](
			client.DescribeUserPool(ctx, &idp.DescribeUserPoolInput{UserPoolId: &id}))
	}
}
