// Confirms who signs up with an address of the company, and lets nobody else in.

export const handler = async (event) => {
    const address = event.request.userAttributes.email ?? "";
    if (!address.endsWith("@example.com")) {
        throw new Error("only addresses of example.com may sign up");
    }
    event.response.autoConfirmUser = true;
    event.response.autoVerifyEmail = true;
    return event;
};
