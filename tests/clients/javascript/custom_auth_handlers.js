// Lambda handlers of a sign-in by a question, as they would be deployed: nothing in here knows this server.

"use strict";

const MOST_TRIES = 2;

exports.define = async (event) => {
    const { session } = event.request;
    const last = session.at(-1);
    const tries = session.filter(({ challengeName }) => challengeName === "CUSTOM_CHALLENGE").length;
    event.response.issueTokens = last?.challengeName === "CUSTOM_CHALLENGE" && last.challengeResult;
    event.response.failAuthentication = !event.response.issueTokens && tries >= MOST_TRIES;
    if (!event.response.issueTokens && !event.response.failAuthentication) {
        event.response.challengeName = last?.challengeName === "SRP_A" ? "PASSWORD_VERIFIER" : "CUSTOM_CHALLENGE";
    }
    return event;
};

exports.create = async (event) => {
    event.response.publicChallengeParameters = { question: "Which color has the sky?" };
    event.response.privateChallengeParameters = { answer: "blue" };
    event.response.challengeMetadata = "COLOR";
    return event;
};

exports.verify = async (event) => {
    event.response.answerCorrect = event.request.challengeAnswer === event.request.privateChallengeParameters.answer;
    return event;
};
