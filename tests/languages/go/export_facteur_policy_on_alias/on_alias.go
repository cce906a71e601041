package export_facteur_policy_on_alias

import (
	"wit_component/answer"
	recipient "wit_component/facteur_policy_recipient"
	policy "wit_component/facteur_policy_types"

	. "go.bytecodealliance.org/pkg/wit/types"
)

func Ask() Result[policy.Expansion, policy.Failure] {
	defer answer.OnPanic()
	return Ok[policy.Expansion, policy.Failure](expand(recipient.Address()))
}

func expand(address policy.MailAddress) policy.Expansion {
	at := func(local string) policy.MailAddress {
		return policy.MailAddress{Local: local, Domain: address.Domain}
	}
	switch address.Local {
	case "team":
		return policy.MakeExpansionTargets(policy.Expanded{
			Targets: []policy.Target{
				policy.MakeTargetAddress(at("ann")),
				policy.MakeTargetAddress(at("bob")),
			},
			Owner: Some(at("owner-team")),
		})
	case "gone":
		return policy.MakeExpansionUnknown(Some("moved away"))
	case "here":
		return policy.MakeExpansionExists()
	default:
		return policy.MakeExpansionNoOpinion()
	}
}
