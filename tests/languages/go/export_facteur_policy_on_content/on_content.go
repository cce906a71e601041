package export_facteur_policy_on_content

import (
	"wit_component/answer"
	message "wit_component/facteur_policy_message"
	edit "wit_component/facteur_policy_message_edit"
	policy "wit_component/facteur_policy_types"

	. "go.bytecodealliance.org/pkg/wit/types"
)

func Ask() Result[policy.ContentVerdict, policy.Failure] {
	defer answer.OnPanic()
	if subjects := message.HeaderText("Subject"); len(subjects) > 0 {
		if added := edit.AddHeader("X-Subject", subjects[0]); added.IsErr() {
			return Err[policy.ContentVerdict](answer.Failure(added.Err()))
		}
	}
	begin := message.Read(message.BodyOffset(), 3)
	if begin.IsErr() {
		return Err[policy.ContentVerdict](answer.Failure(begin.Err()))
	}
	verdict := policy.MakeContentVerdictNoOpinion()
	if string(begin.Ok()) == "BUY" {
		verdict = policy.MakeContentVerdictReject(answer.Refusal("no, thank you"))
	}
	return Ok[policy.ContentVerdict, policy.Failure](verdict)
}
