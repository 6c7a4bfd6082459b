"""Words that names of endpoints are made of, as far as one can know them beforehand.

A word of this list is only a hint: `/teams/blue` and `/teams/search` differ in nothing else at first. What requests
show outweighs it.
"""

_WORDS = frozenset(  # one long text: one word a line would be seven hundred lines
    """
    about accept access account action active activity add address admin advance aging alert alias all allowed
    analytic analytics annotation api app apple application apply appointment approval approve approved archive
    article artifact assign assignment associated attach attachment attempt attribute audio audit auth authenticate
    authorization authorize autocomplete available avatar award background backup balance balancer bandwidth bank
    barrier basket batch bill billable billing binary blind blob block blog board booking bot box branch broadcast
    build buildkite bulk ca cache cached calculation calendar call callback campaign cancel capability capture
    card cardholder cart cascade cash catalog catalogue category cdn certificate change channel charge chat check
    checklist checkout choice ci claim classification click client clock clone close closed cluster code
    collaboration collection color column command comment commit company compare complete completed component
    compound computed config configuration confirm connect connected connection contact container content
    contributor conversation convert copy count country coupon course cover cpu create creator credential credit csv
    currency current custom customer daily dangerous dashboard data database dataset date day dbs deactivated deal
    debit decline default delete deliver delta denied deny department deploy deployment desc description destination
    destroy detach device dialog diff digest disable disabled disconnect discount discover discoverability dismissed
    display dispute dns doc docker dockerfile doctor document domain download driver drone droplet early edge
    element email emoji employee enable enabled end endpoint enterprise entity entry environment ephemeral epic
    erase estimate event eviction exam exchange execute exempt experiment expiration expire export extension
    external factor fail failed faq feature fee feed field file filesystem filter finalize financial find firewall
    first flag flight floating folder follow follower following forecast forgot forwarding fraud free friend from
    full function fund funding game garbage gateway generate geocode get gitignore global grade grant graph graphql
    group guide health healthz help helper history hold hook host hotel icon id identity ids image import inbound
    incident increment indice info information ingredient initial instance instruction insurance integration intent
    interface internal introspect invalidate inventory invitation invite invited invocation invoice invoiceitem ip
    ips issue issuing item job join keep kernel key kick kind kubernetes label language last latest layer lead
    leaderboard league leave ledger legal lesson level license like line link linked lint list live load loan locale
    location lock log login logo logout lookup maintenance mandate map mark match me measurement media member
    membership memory menu merge merged message metadata method metric migrate migration milestone mine minute mode
    model module monitoring month move mute my name namespace neighbor network new next node note notification
    notify oauth object one online open openapi option order org organization original outbound owned owner package
    page parameter part participant partner password path patient pause pay payment payout pdf people permalink
    permission person photo pick pin ping pinner pipeline place plan play player plugin policy pool popular port
    portal position post power prediction pref preference prescription presence present preview previous price
    privacy private problem process product profile project promote promotion property propose protect provider
    proxy public publish purpose push quarter query queue quote radar random rate rating raw reaction read
    reader ready receipt received recent recipe recommend recommendation record recovery recycle redact ref
    reference refresh refund region register registry regular reject related relation release reminder remote remove
    rename replica reply report reporting repository request resend reservation reserved reset resize resource rest
    restart restaurant restore restrict restricted restriction result resume retention retry return reversal reverse
    revert review revoke ride role rollback room route row rpc rule run runner saved schedule scheduled schema
    school scope score search season secret security segment selective self send sensor server service session set
    setting settlement setup share shared shield shift ship shipment shipping show sidebar sign signin signup
    similar site size skill slash snapshot snippet snooze socket sort source spec spent sprint sql star starred
    start state statement statistic statistics status statuse step sticker stock stop storage story stream student
    submit subnet subscribed subscription succeed suggest suggestion summary supplier support swagger table tag
    target task tax team template tenant term terminal terminate test text thread thumbnail ticket tier time timer
    todo token top topic topup total trace tracker tracking training transaction transfer trash treasury tree
    trending trigger two type unarchive unblock uncollectible uninstall unlock unprotect unread upcoming update
    upfront upgrade upload ups uptime url usage user usergroup userinfo username v1 validate value variable vehicle
    vendor verification verify version video view viewed visibility visible vm void volume voted voting vpc wallet
    warning watermark weather web webhook website week when whitelist wiki with worker workflow workspace year zip
    zone
    """.split()  # noqa: SIM905
)


def _forms(word: str) -> tuple[str, ...]:
    stem = word.removesuffix("e")
    plural = word[:-1] + "ies" if word.endswith("y") else word + "s"
    return word, plural, word + "es", stem + "ed", stem + "ing"


_KNOWN = frozenset(form for word in _WORDS for form in _forms(word))


def is_known(word: str) -> bool:
    """Whether a lower-case word, or the word that it is a form of, is in the list."""
    return word in _KNOWN
