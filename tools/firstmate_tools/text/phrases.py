"""Phrases by which a text turns to a language model: what `suspicion` looks for. Data; no code but patterns.

Each stands for a way in which instructions were smuggled into data (OWASP LLM01:2025, MITRE ATLAS AML.T0051). They are
narrow on purpose: a log that says `ignoring previous configuration`, `system: ready` or `You are now connected to
database "shop"` must not match, because a warning that cries wolf is not read. Matched against small letters, blanks
folded into one (line ends kept).
"""

# ruff: noqa: E501 - a phrase reads best in one piece
import re
from functools import cache
from typing import NamedTuple


class Phrase(NamedTuple):
    """One way to address a model: what it tries, texts of which it holds one, and how it reads."""

    aim: str
    hints: tuple[str, ...]
    pattern: str

    def stands_in(self, text: str) -> bool:
        """Whether a text holds the phrase. Patterns are compiled when first needed: a start needs none."""
        return any(hint in text for hint in self.hints) and _compiled(self.pattern).search(text) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.MULTILINE)


_WHOSE = r"(?:(?:all|any|every|each|the|these|those|this|your|my|of|other|everything|that|is|said|previously|given) )*"
_BEFORE = r"(?:previous|prior|above|earlier|preceding|foregoing|existing|original|initial|former|past|system|safety)"
_ORDERS = r"(?:instructions?|prompts?|directives?|guidelines?|guardrails?|directions|commands given|system messages?)"
_LEAVE = r"(?:ignore|disregard|forget|override|bypass|discard|do not follow|don't follow|stop following|drop|neglect)"
_MODEL = (
    r"(?:ai|a\.i\.|llm|assistants?|language models?|chatbots?|agents?|models?|chatgpt|claude|copilot|gpt|gemini|cursor)"
)
_SECRETS = (
    r"(?:secrets?|tokens?(?! (?:requests?|endpoint|exchange|reviews?))|credentials?|passwords?|kubeconfigs?|api keys?|private keys?|service account|environment"
    r"|env(?:ironment)? vars?|conversation|chat history|system prompt|context window|files? contents?)"
)
_START = (
    r"(?:^|[.!?:;,\n>\"'`(*#-]\s*|\b(?:please|then|now|must|should|immediately|first|next|and|you|to fix this,?|just) )"
)

PHRASES: tuple[Phrase, ...] = tuple(
    Phrase(aim, tuple(hints.split("|")), pattern)
    for aim, hints, pattern in (
        (
            "leave its instructions",
            "ignor|disregard|forget|overrid|bypass|discard|follow|drop |neglect",
            rf"\b{_LEAVE} {_WHOSE}(?:{_BEFORE} )+{_WHOSE}{_ORDERS}\b",
        ),
        (
            "leave its instructions",
            "ignor|disregard|forget|overrid|bypass|discard|follow|drop |neglect",
            rf"\b{_LEAVE} {_WHOSE}(?:your|you were told|you have been told)\b(?: \w+)? ?{_ORDERS}?",
        ),
        (
            "leave its instructions",
            "ignor|disregard|forget|overrid|bypass|discard|follow|drop |neglect",
            rf"\b{_LEAVE} (?:all|any|the|these) (?:instructions|guardrails|directives)\b",
        ),
        (
            "leave its instructions",
            "instruction",
            r"\b(?:new|updated|real|actual|revised) (?:system )?instructions?(?: from [^.:]{1,40})?:",
        ),
        (
            "leave its instructions",
            "vorh|bish|vorig|anteriores|previas|dentes|precedenti",
            r"\bignor(?:e|iere|a|ez|i) (?:bitte |toutes? |todas? |tutte )?(?:alle |les |las |le )?"
            r"(?:vorherigen|bisherigen|vorigen|instrucciones (?:anteriores|previas)|instructions pr.c.dentes|istruzioni precedenti)",
        ),
        (
            "leave its instructions",
            "忽略",
            r"忽略(?:所有|全部)?(?:之前|以上|前面|先前)的?(?:所有|全部)?(?:指令|说明|指示|提示)",
        ),
        (
            "leave its instructions",
            "ignor|disregard|forget|overrid|bypass|discard|follow|drop |neglect",
            rf"\b{_LEAVE} {_WHOSE}{_ORDERS} (?:above|before|so far|until now|you (?:have|were))\b",
        ),
        (
            "leave its instructions",
            "ignor|disregard|forget|overrid|bypass|discard|follow|drop |neglect",
            r"(?:ignore|disregard|forget) ?(?:(?:all|any|the|your|of) ?)*(?:previous|prior|above|earlier) ?(?:instructions|prompts|rules)",
        ),
        ("leave its instructions", "無視", r"(?:以前|上記|これまで)の(?:すべての)?(?:指示|命令)を無視"),
        (
            "leave its instructions",
            "игнорируй",
            r"игнорируй(?:те)? (?:все )?(?:предыдущие|прежние) (?:инструкции|указания)",
        ),
        (
            "take another role",
            "you are now",
            r"\byou are now (?:an? |the |in )?(?:dan\b|free\b|unrestricted|jailbroken|admin\w*|root\b|operator"
            r"|system|developer mode|debug mode|maintenance mode|god mode|\w+ ?(?:assistant|agent|ai|bot|model)\b)",
        ),
        (
            "take another role",
            "from now on|henceforth",
            r"\b(?:from now on|henceforth),? (?:you|always|never|ignore|respond|act|treat)\b",
        ),
        (
            "take another role",
            "act |behave|respond|pretend",
            rf"\b(?:act|behave|respond|pretend) (?:as|like|to be|that you are) (?:if you (?:are|were) )?(?:an? |the )?"
            rf"(?:unrestricted|jailbroken|evil|root|admin(?:istrator)?\b|{_MODEL}\b|cluster[- ]admin)",
        ),
        (
            "take another role",
            "your |assistant's",
            r"\b(?:your|the assistant's) (?:new|real|true|only|next|actual) (?:task|goal|job|role|objective|mission|purpose)\b",
        ),
        (
            "take another role",
            "anything now|jailbreak|mode",
            r"\b(?:do anything now|jailbreak(?: mode)?\b|dan mode|god mode (?:on|enabled)|developer mode (?:is )?(?:on|enabled))",
        ),
        (
            "speak to a model",
            "important|urgent|attention|notice|note|message|instruction|memo|reminder",
            rf"\b(?:important|urgent|attention|notice|note|message|instructions?|memo|reminder)(?: message)?,? (?:to|for) "
            rf"(?:the |any |all )?(?:\w+ )?{_MODEL}\b(?! (?:pod|node|version|config|deployment|upgrade|install|server|team))",
        ),
        (
            "speak to a model",
            "attention|hey|hello|dear|hi ",
            r"\b(?:attention|hey|hello|dear|hi),? (?:the |all |any )?(?:ai|llm|assistant|language model|chatgpt|claude|copilot|gpt)\b(?: ?[,:!.;-]|$| (?:please|you|i)\b)",
        ),
        (
            "speak to a model",
            "you are|you're|if a|as a|since|because",
            r"\b(?:if|as|since|because) (?:you are|you're|an?) (?:an? )?(?:ai\b|llm\b|large language|language model|ai (?:assistant|agent))",
        ),
        (
            "speak to a model",
            "reading|processing|analy|summari|diagnosing",
            r"\b(?:ai|llm|language model)(?: (?:assistants?|agents?|models?))? (?:(?:that|who|which) )?(?:(?:is|are) )?"
            r"(?:reading|processing|analy[sz]ing|summari[sz]ing|diagnosing) (?:this|these)",
        ),
        (
            "speak to a model",
            " prompt|instructions",
            r"\b(?:reveal|print|show|repeat|output|leak|display|disclose|give me|tell me|what (?:is|are)) .{0,30}"
            r"(?:system|initial|hidden|developer|original) (?:prompt|instructions)\b",
        ),
        ("speak to a model", "your ", r"\byour (?:system )?(?:prompt|context window|training data)\b"),
        (
            "fake a role",
            "<|inst]",
            r"<\|[a-z0-9_ ]{3,40}\|>|\[/?inst\]|<</?sys>>|<(?:start|end)_of_turn>|</?s>\s*\[inst\]",
        ),
        (
            "fake a role",
            "system|instruction|assistant|human|developer",
            r"(?:^|:)\s*(?:#{1,4}|\*\*)\s*(?:system|instructions?|assistant|human|developer)\b(?: prompt| message)?(?:\*\*)?:?\s*$",
        ),
        (
            "fake a role",
            "human|assistant|user|ai",
            r"(?:^|\n)\s*(?:human|assistant|user|ai)\s*:[^\n]*\n+\s*(?:human|assistant|user|ai)\s*:",
        ),
        (
            "fake a role",
            "system|developer",
            r"(?:^|[\n.:>\]]\s*)\[?(?:system|developer)(?: prompt| override| instructions?| note)?\]?\s*:\s*(?:you |ignore|disregard|call|the "
            r"(?:user|operator|assistant)|override|always|never|new instruction|do not|approve|execute|run )",
        ),
        (
            "fake a role",
            "system|end of",
            r"\bsystem (?:override|prompt override|prompt)\s*:|\bend of (?:system |user )?(?:prompt|instructions|untrusted (?:text|data|content))\b",
        ),
        (
            "fake a role",
            "--|==",
            r"(?:^|\n)\s*(?:-{2,}|={2,})\s*(?:end|begin) (?:of )?(?:system|prompt|instructions|tool|context|data|log)\b[^\n]{0,30}",
        ),
        (
            "fake a tool",
            "<|＜",
            r"[<＜]/?(?:antml:)?(?:tool_(?:result|response|call|use|output)s?|function_(?:results?|calls?)|invoke|parameter|system_prompt"
            r"|system-reminder|untrusted(?:_\w+)?|instructions?|important_instructions)\b",
        ),
        (
            "fake a tool",
            "tool_calls|function_call|tool_use|tool_result|tool_call",
            r"\"(?:tool_calls|function_call|tool_use)\"\s*:|\"type\"\s*:\s*\"(?:tool_use|tool_result|tool_call|function_call)\"",
        ),
        ("fake a tool", "method", r"\"method\"\s*:\s*\"(?:tools|prompts|resources|sampling|elicitation)/"),
        (
            "fake a tool",
            "tool",
            r"\"(?:tool|tool_name)\"\s*:\s*\"[\w.-]+\"\s*,\s*\"(?:arguments|args|input|parameters)\"\s*:",
        ),
        ("fake a tool", "name", r"\"name\"\s*:\s*\"[\w.-]+\"\s*,\s*\"(?:arguments|input|parameters)\"\s*:\s*\{\s*\""),
        (
            "call a tool",
            "tool",
            rf"{_START}(?:call|invoke|use|execute|trigger) (?:the )?[`'\"]?[\w.-]+[`'\"]? (?:tool|mcp tool|function tool|action tool)\b",
        ),
        (
            "call a tool",
            "tool|mcp|function",
            rf"{_START}(?:call|invoke|use) the (?:tool|mcp|function) (?:named |called )?[`'\"]?\w",
        ),
        (
            "call a tool",
            "call ",
            rf"{_START}call [`'\"]?\w*(?:apply|approve|delete|remediat|execute|rollback|plan)\w*[`'\"]?(?:\(| with\b|[.!]?$)",
        ),
        (
            "run a command",
            "kubectl|helm|rm -rf|terraform|eksctl|aws |curl|wget",
            rf"{_START}(?:run|execute|type|issue|enter|do|use|perform|launch)(?: the)?(?: command| following)*\s*:?\s*[`'\"$]*(?:sudo )?"
            r"(?:kubectl (?:-n \S+ |--\S+ )*(?:delete|exec|drain|edit|patch|replace|create clusterrolebinding|create token|get secrets?\b|scale \S+ .{0,20}=0)"
            r"|helm (?:uninstall|delete)|rm -rf|terraform destroy|aws \S+ (?:delete|terminate)|eksctl delete|(?:curl|wget) \S+ ?\| ?(?:ba|z)?sh)",
        ),
        (
            "run a command",
            "all|every|entire|whole",
            rf"{_START}(?:delete|remove|wipe|destroy|scale down|drain) (?:all|every|the entire|the whole) (?:the )?"
            r"(?:pods?|namespaces?|nodes?|deployments?|secrets?|pvcs?|volumes?|workloads?|cluster|data)\b",
        ),
        (
            "run a command",
            "curl|wget",
            r"(?:curl|wget) [^\n|]{4,200}\| ?(?:sudo )?(?:ba|z)?sh\b[^\n]{0,40}(?:to fix|to resolve|to repair)",
        ),
        (
            "run a command",
            "admin|system:masters",
            rf"{_START}(?:grant|give|bind|add) [^\n.]{{0,60}}\b(?:cluster-admin|cluster admin|system:masters)\b",
        ),
        (
            "send data out",
            "send|post|upload|forward|exfil|leak|mail|transmit|copy|paste|put |include|append|encode|submit",
            rf"{_START}(?:send|post|upload|forward|exfiltrate|leak|e-?mail|transmit|copy|paste|put|include|append|encode|submit) (?!/)"
            rf"[^\n]{{0,60}}?\b{_SECRETS}\b[^\n]{{0,60}}?\b(?:to|at|into|in|via|as)\b[^\n]{{0,30}}?(?:https?:|hxxps?:|\S+@\S+\.|attacker|webhook|the url|"
            r"the link|query|your (?:reply|answer|response)|parameter)",
        ),
        (
            "send data out",
            "read|fetch|get |print|dump|list|show|collect|retrieve",
            rf"{_START}(?:read|fetch|get|print|dump|list|show|collect|retrieve) (?:me )?(?:all |every |the |each )*(?:\w+ )?{_SECRETS}\b[^\n]{{0,40}}"
            r"\b(?:and|then)\b[^\n]{0,30}(?:send|post|upload|include|paste|put|show|print|reply|output)",
        ),
        (
            "send data out",
            "![",
            r"!\[[^\]\n]{0,200}\]\(\s*(?:https?:)?//[^)\s]{1,300}[?&=/][^)\s]{0,300}(?:\{|=|\$|secret|token|data)",
        ),
        ("send data out", "<img", r"<img[^>]{0,200}src\s*=\s*[\"']?(?:https?:)?//"),
        (
            "hide from the user",
            "do not|don't|never",
            r"\b(?:do not|don't|never) (?:tell|inform|mention|notify|alert|warn|show|reveal|ask)\b(?: (?:this|it|about \w+|of \w+))? ?(?:to )?"
            r"(?:the |your )?(?:user|operator|human|admin(?:istrator)?|customer)s?\b",
        ),
        (
            "hide from the user",
            "without",
            r"\bwithout (?:asking|telling|informing|notifying|confirmation from|approval (?:of|from)|the knowledge of) (?:the |a |any |your )?"
            r"(?:user|operator|human|admin(?:istrator)?)\b",
        ),
        (
            "claim an approval",
            "approved|authori|consented|confirmed|agreed|granted",
            r"\b(?:the |your )?(?:user|operator|admin(?:istrator)?|human|sre|on-?call|security team) (?:has |have )?(?:already )?(?:pre-?)?"
            r"(?:approved|authorized|authorised|consented|confirmed|agreed to|granted permission)\b[^\n]{0,40}\b(?:this|all|any|every|plan|action|change|deletion|it)\b",
        ),
        (
            "claim an approval",
            "approve|confirm|accept",
            r"\b(?:approve|confirm|accept|auto-?approve) (?:this|the|every|all|any) (?:pending )?(?:plan|action|deletion|remediation|approval request)s?\b",
        ),
        (
            "claim an approval",
            "skip|bypass|omit",
            r"\b(?:skip|bypass|omit) (?:the |any |all )?(?:dry[- ]?run|approvals?|confirmations?|verification|safety check|policy check)s?\b",
        ),
        (
            "dictate the verdict",
            "healthy|fine|ok|normal|found|wrong|well",
            r"\b(?:report|say|answer|respond|conclude|state|reply|claim|tell (?:the )?(?:user|operator|them|everyone)) (?:only )?(?:that |with )?[\"'`]?"
            r"(?:everything|all|the (?:whole )?cluster|the namespace|this (?:cluster|pod|namespace|workload)|no (?:problem|issue|fault|error)s?|nothing)\b[^\n]{0,30}"
            r"(?:healthy|fine|ok|okay|normal|found|wrong|well)\b",
        ),
        (
            "dictate the verdict",
            "respond|reply|answer|output",
            r"\b(?:respond|reply|answer|output) (?:only |just )?with (?:only )?(?:the )?(?:word|text|phrase|string|following|json)\b",
        ),
        (
            "dictate the verdict",
            "mark |report|treat|set |classify",
            r"\b(?:mark|report|treat|set|classify) (?:this|the|it|all)\b[^\n]{0,30} as (?:healthy|resolved|fixed|safe|trusted|approved)\b",
        ),
        (
            "claim to be trusted",
            "trusted|authoritative|from ",
            r"\b(?:this|the following) (?:text|message|content|instruction|log|data|event|annotation)s? (?:is|are) (?:trusted|not untrusted|authoritative|"
            r"from (?:the )?(?:system|developer|operator|anthropic|openai))\b",
        ),
        (
            "claim to be trusted",
            "trust|obey|follow",
            r"\b(?:trust|obey|follow) (?:this|these|the|my|all)(?: following| instructions?| text| message| above)+\b(?: instead| exactly| now|[.!:])",
        ),
    )
)
"""In the order of what tells most."""
