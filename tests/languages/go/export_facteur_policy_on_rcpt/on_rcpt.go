package export_facteur_policy_on_rcpt

import (
	"wit_component/answer"
	lookup "wit_component/facteur_policy_lookup"
	recipient "wit_component/facteur_policy_recipient"
	session "wit_component/facteur_policy_session"
	settings "wit_component/facteur_policy_settings"
	transaction "wit_component/facteur_policy_transaction"
	policy "wit_component/facteur_policy_types"

	. "go.bytecodealliance.org/pkg/wit/types"
)

func Ask() Result[policy.Verdict, policy.Failure] {
	defer answer.OnPanic()
	switch recipient.Address().Local {
	case "panic":
		panic("the recipient panic was asked about")
	case "no":
		text := session.Helo().SomeOr("nobody") + " may not write to no"
		return say(policy.MakeVerdictReject(answer.Refusal(text)))
	}
	tables := []string{string(settings.Kept())}
	found := lookup.FindRecipient(tables, lookup.Manner_Access)
	if found.IsErr() {
		return fail(found.Err())
	}
	if found.Ok().IsSome() {
		set := transaction.SetTag("found", found.Ok().Some().Value)
		if set.IsErr() {
			return fail(set.Err())
		}
	}
	return say(policy.MakeVerdictNoOpinion())
}

func say(verdict policy.Verdict) Result[policy.Verdict, policy.Failure] {
	return Ok[policy.Verdict, policy.Failure](verdict)
}

func fail(err policy.Error) Result[policy.Verdict, policy.Failure] {
	return Err[policy.Verdict](answer.Failure(err))
}
