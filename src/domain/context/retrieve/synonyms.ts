import { stem } from "./stems.ts";

/**
 * Words that people use for one another, or for a thing and the talk about it; a line each. Everyday
 * English and the English of those who make and run software. A word may stand in several lines.
 */
const lines = `
buy purchase order acquire get shop
pay payment cost price fee charge bill expense expensive spend money amount
cheap affordable inexpensive discount bargain deal
money cash funds budget finance financial financially euro dollar pound
salary wage income earnings compensation pay
loan lend borrow debt credit owe
refund reimburse reimbursement repay compensate
invoice bill receipt billing
bank account savings iban
card visa mastercard amex credit debit
rent lease tenancy landlord landlady owner tenant
deposit security downpayment
house home flat apartment residence place condo
live reside stay settle located based
move relocate relocation moving
room bedroom office chamber
garden yard backyard
heater radiator heating
kitchen stove oven
car vehicle automobile auto drive
drive driving car road
plane flight fly flying airplane aircraft airline
train rail railway
bike bicycle cycle cycling
bus coach
trip travel journey vacation holiday visit tour
hotel accommodation lodging hostel inn
luggage baggage suitcase bag
city town village place
country nation homeland
doctor physician clinic medical gp
vet veterinarian animal
dentist tooth teeth dental
hospital clinic surgery operation
ill sick illness disease condition unwell
medicine medication drug pill prescription treatment
allergy allergic intolerance intolerant
pain hurt ache sore injury injured
diet vegetarian vegan eat food
eat food meal dish dinner lunch breakfast cuisine restaurant
drink beverage coffee tea wine beer
cook recipe bake cooking
nut hazelnut peanut almond
pet animal dog cat puppy kitten
child kid children son daughter toddler baby
daughter girl
son boy
wife husband spouse partner married
marry wedding married marriage engaged
divorce separate split breakup
parent mother father mom dad mum
sibling brother sister
grandmother grandma grandparent grandfather grandpa
family relative relatives kin
friend buddy pal mate
colleague coworker teammate
boss manager supervisor lead leader
team crew squad group
employee staff worker personnel
company firm business organisation organization employer enterprise
client customer buyer
vendor supplier provider seller
job work occupation profession career employment position role
hire recruit employ recruitment
fire dismiss layoff sack
quit resign leave
school kindergarten nursery daycare preschool education
study learn course class degree education university college
teacher instructor professor tutor
exam test quiz
birthday born birth
age old year
date day when schedule scheduled
deadline due date until
appointment meeting slot schedule calendar
meeting standup call sync conference session
early morning
late evening night
week weekly weekend
month monthly
begin start launch commence kick
end finish complete conclude done
delay postpone late defer
cancel abort terminate call
fast quick rapid speed
slow sluggish latency
big large huge large
small little tiny
important critical crucial essential key
urgent priority high asap
problem issue trouble bug error fault defect
error failure fail exception crash
broken fail crash down outage
outage incident downtime disruption
fix repair resolve solve patch correct
cause reason why because
reason because why motive
change modify alter update edit adjust
remove delete drop erase
add include append insert
replace substitute swap switch
increase raise grow higher up
decrease reduce lower cut drop
choose pick select decide opt decision
decide decision agree agreed agreement settle conclude
prefer favorite favourite like love enjoy rather
like love enjoy fond
hate dislike detest annoy
want wish desire hope
plan intend intention going goal
goal aim objective target purpose
idea proposal suggestion suggest
suggest recommend advise advice recommendation
ask question request inquire
answer reply respond response
complain complaint dissatisfied unhappy grumble
promise commit guarantee
allow permit permission may
forbid prohibit ban disallow never
avoid never without exclude
must required require mandatory need obligatory
limit maximum cap max ceiling restriction
minimum least min
help assist support aid
contact reach phone email call
phone telephone mobile cell number call
email mail address inbox
mail post letter postal
address street location
name called named call
nickname called alias
password passphrase credential secret passcode pin
pin code passcode
key token secret credential
login signin authenticate authentication access credential
user account member
permission access right privilege role
store keep save stored kept
backup copy archive snapshot
restore recover recovery
database db table sql postgres postgresql mysql
cache redis
server host machine node instance
deploy deployment release rollout ship
release version
version build
region datacenter zone
environment production staging prod
cluster kubernetes
config configuration setting settings option parameter
flag toggle switch feature
timeout seconds wait
retry attempt repeat
limit quota threshold
log logs logging trace
monitor monitoring alert alarm
code source program
repository repo git
branch merge
test testing qa
review approve approval
approve sign permission consent
ticket issue task card
task todo job
owner responsible maintainer
responsible charge owner accountable
author wrote write written creator
write author draft compose
language locale translation
document file pdf report
folder directory path
picture photo image
website site page url link
api endpoint interface
framework library package dependency
encryption encrypted cipher
certificate tls ssl
vulnerability security cve
port socket
queue broker kafka rabbitmq
contract agreement
law legal lawyer attorney
insurance policy coverage insurer
tax vat
event party celebration celebrate ceremony
party celebrate celebration
present gift
guest visitor attendee
music song band concert instrument
instrument piano guitar violin
movie film cinema
book novel read reading
game play gaming
sport exercise workout training gym run
hobby pastime interest
paint painting art draw drawing
weather rain sunny storm
hot warm heat
cold cool freezing temperature
colour color shade
red crimson scarlet
blue navy azure
size measurement
weight heavy kilo
clothes clothing outfit dress wear
shoe shoes boot sneaker
happy glad joy pleased
sad unhappy upset
afraid fear scared anxious worry
angry upset furious mad
proud achievement accomplish
inherit heirloom inheritance
lose lost missing
find discover found detect
notice realize discover
show display demonstrate
send ship deliver delivery dispatch
delivery shipping shipment parcel package
arrive arrival reach come
depart departure leave
number identifier id code reference
reference ref number code
quantity number count
share percentage percent rate
`;

/** Lines of a stem, by number. */
const linesOf = new Map<string, number[]>();
const stems = lines
  .trim()
  .split("\n")
  .map((line) => line.split(" ").map(stem));
for (const [number, line] of stems.entries()) {
  for (const word of line) linesOf.set(word, [...(linesOf.get(word) ?? []), number]);
}

/** Stems of words that may stand for a stem, without itself. */
export function synonymsOf(word: string): ReadonlySet<string> {
  const found = new Set((linesOf.get(word) ?? []).flatMap((number) => stems[number] ?? []));
  found.delete(word);
  return found;
}
