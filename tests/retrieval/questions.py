"""Twenty questions to the sample knowledge base, each with the passage that answers it: (file, last heading)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Labelled:
    """`heading` is the last heading of the passage; a text without headings has none."""

    question: str
    file: str
    heading: str


# These share words with their answer, as most questions do; two name nothing but a code.
IN_THE_SAME_WORDS = (
    Labelled("How do I reset my password?", "passwords.md", "Reset your password"),
    Labelled("Which roles are there and what may an Editor do?", "members.md", "Roles"),
    Labelled("How many requests a minute does the API allow?", "api.md", "Rate limits"),
    Labelled("Can I download the invoices as PDF?", "invoices.md", "Download an invoice"),
    Labelled("Does the app run on Android 11?", "mobile.md", "Supported devices"),
    Labelled("How do I import a CSV file?", "import-export.md", "Import from a spreadsheet"),
    Labelled("It stops and says E-4077.", "import-export.md", "Messages of the import"),
    Labelled("What does SYNC-19 stand for?", "mobile.md", "Messages of the app"),
    Labelled("How do I share a saved filter with my team?", "search-filters.md", "Saved filters"),
    Labelled("Where do I change our VAT number?", "invoices.md", "Change the billing address"),
)

# These share no word that carries meaning with theirs: full text alone cannot find them.
PARAPHRASED = (
    Labelled("Can I get my money back?", "refunds.md", "When a refund is possible"),
    Labelled("I threw something away by accident, is it gone?", "search-filters.md", "Recently deleted records"),
    Labelled("My smartphone was stolen and now I am shut out.", "passwords.md", "Two-factor authentication"),
    Labelled("In which country do your servers stand?", "privacy.md", "Where data is stored"),
    Labelled("Our bookkeeper quit her job yesterday. What now?", "members.md", "Remove a member"),
    Labelled("Please stop disturbing me while I sleep.", "notifications.md", "Quiet hours"),
    Labelled("Will I be able to use it on an aeroplane, far from any network?", "mobile.md", "Work offline"),
    Labelled("We want to quit. What happens to our stuff afterwards?", "plans.md", "Cancel a subscription"),
    Labelled("I typed nonsense too often and cannot enter any more.", "passwords.md", "Locked accounts"),
    Labelled("The credit institute rejected our Visa. Consequences?", "invoices.md", "Failed payments"),
)

LABELLED = IN_THE_SAME_WORDS + PARAPHRASED
