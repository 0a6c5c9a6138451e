-- The functions that the scripts share: keys, bencode, the records that they read. `scripts.rs` puts this file before
-- each script.
--
-- ARGV[1] is the namespace's prefix of every key. The script's own arguments begin at ARGV[2].

local P = ARGV[1]
local byte, sub, find = string.byte, string.sub, string.find

-- `error.rs` has the same text.
local OF_OTHERS = 'another program has put something else there; look at it, and delete the key'

-- Runs a command. The server's error says only that the type is wrong. So this function adds the key to the error.
local function call(...)
  local answer = redis.pcall(...)
  if type(answer) ~= 'table' or not answer.err then return answer end
  local _, key = ...
  if not find(answer.err, 'WRONGTYPE', 1, true) then error(answer.err, 0) end
  if find(key, '^brrr:call:', #P + 1) or find(key, '^brrr:job:', #P + 1) then
    error('MALFORMED the records at the key ' .. key .. ': ' .. OF_OTHERS, 0)
  end
  error('WRONGKEY ' .. key, 0)
end

local function record(hash) return P .. 'brrr:call:' .. hash end
local function job_record(job_id) return P .. 'brrr:job:' .. job_id end

-- The most bytes of outcomes that are read at once: `ports::MOST_AT_ONCE`.
local MOST_AT_ONCE = 67108864

-- Reads fields of a call's records. If another program has put something else at the key, the fields are what `get` in
-- `store.rs` returns: bytes that do not decode, and no value.
local function fields(key, ...)
  local found = redis.pcall('HMGET', key, ...)
  if not found.err then return found end
  if not find(found.err, 'WRONGTYPE', 1, true) then error(found.err, 0) end
  local foreign = {}
  for n, name in ipairs({ ... }) do
    foreign[n] = name ~= 'value' and '\255' .. 'the key ' .. key .. ' holds no records: ' .. OF_OTHERS
  end
  return foreign
end

local function size(pair) return (pair[1] and #pair[1] or 0) + (pair[2] and #pair[2] or 0) end

-- Bencode ---------------------------------------------------------------------------------------------------------

-- The name of the record that is being read, for the error message about damage.
local reading = ''

local function damaged(why) error('MALFORMED ' .. reading .. ': ' .. why, 0) end

-- Sets the name of the record that is being read, in the format of `Error::of`.
local function read(what, kind, id) reading = what .. ' (' .. kind .. ' of ' .. id .. ')' end

-- Returns the result of `look`, or `otherwise` if a record that it reads is damaged.
local function unless_damaged(otherwise, look, ...)
  local found, answer = pcall(look, ...)
  if found then return answer end
  if type(answer) == 'string' and sub(answer, 1, 10) == 'MALFORMED ' then return otherwise end
  error(answer, 0)
end

-- The text that begins at `i`, and the position of the next value. Only digits are accepted as a length. With a sign,
-- for example, the reader would go backwards and never end, and would block the server.
local function text(s, i)
  local _, colon, digits = find(s, '^(%d+):', i)
  local length = colon and tonumber(digits)
  if not length or colon + length > #s then damaged('no text at byte ' .. i) end
  return sub(s, colon + 1, colon + length), colon + length + 1
end

-- The sequences of UTF-8 (RFC 3629): the least first byte of the row, the number of bytes that follow, the least and
-- the greatest allowed second byte.
local SEQUENCES = {
  { 194, 1, 128, 191 }, { 224, 2, 160, 191 }, { 225, 2, 128, 191 }, { 237, 2, 128, 159 }, { 238, 2, 128, 191 },
  { 240, 3, 144, 191 }, { 241, 3, 128, 191 }, { 244, 3, 128, 143 }, { 245 },
}

local function is_utf8(s)
  local i = find(s, '[\128-\255]')
  while i and i <= #s do
    local c, more, least, most = byte(s, i), 0, nil, nil
    if c >= 128 then
      local sequence = {}
      for _, from in ipairs(SEQUENCES) do
        if c >= from[1] then sequence = from end
      end
      more, least, most = sequence[2], sequence[3], sequence[4]
      if not more then return false end
    end
    for n = 1, more do
      local b = byte(s, i + n) or 0
      if b < least or b > most then return false end
      least, most = 128, 191
    end
    i = i + more + 1
  end
  return true
end

-- Like `text`, for the name of a job, a call or a topic.
local function name(s, i)
  local found, after = text(s, i)
  if not is_utf8(found) then damaged('a name is not UTF-8 at byte ' .. i) end
  return found, after
end

-- The integer that begins at `i`, and the position of the next value.
local function int(s, i)
  local _, stop, digits = find(s, '^i(%-?%d+)e', i)
  if not stop then damaged('no integer at byte ' .. i) end
  return tonumber(digits), stop + 1
end

-- The same depth as in `bencode.rs`.
local MAX_DEPTH = 16

-- The position after the value that begins at `i`.
local function skip(s, i, depth)
  local c = byte(s, i)
  if c == 108 or c == 100 then -- 'l' (list), 'd' (dictionary)
    depth = (depth or 0) + 1
    if depth > MAX_DEPTH then damaged('nested too deeply at byte ' .. i) end
    i = i + 1
    while byte(s, i) ~= 101 do i = skip(s, i, depth) end
    return i + 1
  end
  local _, after
  if c == 105 then _, after = int(s, i) else _, after = text(s, i) end
  return after
end

local function encoded(s) return #s .. ':' .. s end

-- The position of the value of `key` in the dictionary `s`; nil if the dictionary has no such key.
local function entry(s, key)
  if byte(s, 1) ~= 100 then damaged('no dictionary') end
  local i = 2
  while byte(s, i) ~= 101 do
    local found
    found, i = text(s, i)
    if found == key then return i end
    i = skip(s, i)
  end
end

-- Is `a` before `b` in the order of bytes? (`<` would compare by the locale of the server.)
local function before(a, b)
  local length = math.min(#a, #b)
  for i = 1, length do
    local x, y = byte(a, i), byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- The dictionary `s` with `key` set to a bencoded value. The keys of a dictionary are in order.
local function with(s, key, value)
  local i = 2
  while byte(s, i) ~= 101 do
    local start, found = i, nil
    found, i = text(s, i)
    if found == key then return sub(s, 1, i - 1) .. value .. sub(s, skip(s, i)) end
    if before(key, found) then return sub(s, 1, start - 1) .. encoded(key) .. value .. sub(s, start) end
    i = skip(s, i)
  end
  return sub(s, 1, i - 1) .. encoded(key) .. value .. sub(s, i)
end

-- What runs have logged -----------------------------------------------------------------------------------------------

-- The record `log` of a call. Each line is a bencoded value.
local function logged(s)
  local at = entry(s, 'v')
  if not at then damaged('no version') end
  local log = { version = int(s, at), lines = {} }
  if log.version < 1 then damaged('no known version') end
  -- Nothing else of a later version can be relied on.
  if log.version > 1 then return log end
  for _, key in ipairs({ 'attempt', 'cut', 'upto' }) do
    at = entry(s, key)
    log[key] = at and int(s, at) or 0
  end
  at = entry(s, 'lines')
  if at and byte(s, at) ~= 108 then damaged('`lines` is not a list') end
  at = at and at + 1
  while at and byte(s, at) ~= 101 do
    local after = skip(s, at)
    log.lines[#log.lines + 1] = sub(s, at, after - 1)
    at = after
  end
  return log
end

local function integer(n) return 'i' .. string.format('%.0f', n) .. 'e' end

-- Keeps what a run has logged: `NewLines::after` in `records/log.rs`. `new` is '' if that is nothing, else the record
-- as it is if there was none before. `keep` is the most bytes of its lines.
local function keep_log(hash, job_id, new, keep)
  if new == '' then return end
  local key, field = record(hash), 'log/' .. job_id
  local s = call('HGET', key, field)
  local old = s and unless_damaged(nil, logged, s)
  if not old then return call('HSET', key, field, new) end
  new = logged(new)
  local seen = old.attempt == new.attempt and old.upto or 0
  if old.version > 1 or old.attempt > new.attempt or new.upto <= seen then return end
  local lines, cut, size, first = old.lines, old.cut, 0, 1
  if new.cut > 0 then lines, cut = {}, cut + #lines + new.cut end
  for _, line in ipairs(new.lines) do
    if int(line, entry(line, 'end')) > seen then lines[#lines + 1] = line end
  end
  for _, line in ipairs(lines) do size = size + #line end
  while lines[first] and size > tonumber(keep) do
    size, first = size - #lines[first], first + 1
  end
  s = with(with(s, 'attempt', integer(new.attempt)), 'upto', integer(new.upto))
  s = with(s, 'cut', integer(cut + first - 1))
  call('HSET', key, field, with(s, 'lines', 'l' .. table.concat(lines, '', first) .. 'e'))
end

-- What a call is ------------------------------------------------------------------------------------------------

local function described(s)
  read('a call record', 'call', '')
  local task, payload = entry(s, 'task_name'), entry(s, 'payload')
  if not task or not payload then damaged('no task or payload') end
  return { task = name(s, task), payload = (text(s, payload)) }
end

-- Compares the stored `call` record with the record of the requested call, see `identity.rs`. Returns 'new' if the
-- record must be written; 'same'; or 'other' and the task that the hash stands for.
local function compare(hash, asked)
  local found = call('HGET', record(hash), 'call')
  if not found then return 'new' end
  if found == asked then return 'same' end
  local there = unless_damaged(nil, described, found)
  if not there then return 'new' end
  local wanted = described(asked)
  if there.task == wanted.task and there.payload == wanted.payload then return 'same' end
  return 'other', there.task
end

-- The parents that wait for a call ------------------------------------------------------------------------------------

local function waiter(job_id, parent, topic)
  return { job_id = job_id, parent = parent, topic = topic, raw = 'li1e' .. encoded(job_id) .. encoded(parent) .. encoded(topic) .. 'e' }
end

-- Does `a` stand before `b` in the record?
local function sorted_before(a, b)
  if a.job_id ~= b.job_id then return before(a.job_id, b.job_id) end
  if a.parent ~= b.parent then return before(a.parent, b.parent) end
  return before(a.topic, b.topic)
end

-- The most parents that the record `pending_returns` itself lists. If a call has more parents, the record is '*' and
-- `scheduled_at`, and the parents are members of a sorted set. So the cost of adding a parent does not grow with their
-- number. Each parent is in the set twice: 'r', job id, parent, topic, in the order of the record; and 'p', parent,
-- topic, job id. `store.rs` converts the record to its usual form.
local MOST_LISTED = 64

local function parents(hash) return P .. 'brrr:parents:' .. hash end

-- The calls for which this script has seen a sorted set of parents.
local has_set = {}

local function by_job(job_id, parent, topic) return 'r' .. job_id .. '\0' .. parent .. '\0' .. topic end
local function by_parent(job_id, parent, topic) return 'p' .. parent .. '\0' .. topic .. '\0' .. job_id end

-- Can a member of the set hold these names? A zero byte separates them there.
local function fits(e) return not find(e.raw, '\0', 1, true) end

-- The time in a record that begins with '*': when the call's message was sent; nil if that is unknown.
local function long_scheduled(s) return tonumber(sub(s, 2)) end

local function listed(hash)
  has_set[hash] = true
  local entries = {}
  for n, member in ipairs(call('ZRANGEBYLEX', parents(hash), '[r', '(s')) do
    local first = find(member, '\0', 2, true)
    local second = find(member, '\0', first + 1, true)
    entries[n] = waiter(sub(member, 2, first - 1), sub(member, first + 1, second - 1), sub(member, second + 1))
  end
  if #entries == 0 then damaged('the list of the parents is gone') end
  return entries
end

-- The record `pending_returns` of a call, or a record of another kind with the same contents; nil if nobody waits.
local function pending(hash, kind)
  kind = kind or 'pending_returns'
  local s = call('HGET', record(hash), kind)
  if not s then return nil end
  read('a pending_returns record', kind, hash)
  if kind == 'pending_returns' and byte(s, 1) == 42 then return { entries = listed(hash), scheduled = long_scheduled(s) } end
  local i = entry(s, 'returns')
  if not i or byte(s, i) ~= 108 then damaged('`returns` is not a list') end
  local entries = {}
  i = i + 1
  while byte(s, i) ~= 101 do
    if sub(s, i, i + 3) ~= 'li1e' then damaged('an entry is not [1, root id, parent, topic]') end
    local job_id, parent, topic
    job_id, i = name(s, i + 4)
    parent, i = name(s, i)
    topic, i = name(s, i)
    if byte(s, i) ~= 101 then damaged('an entry is not [1, root id, parent, topic]') end
    i = i + 1
    entries[#entries + 1] = waiter(job_id, parent, topic)
  end
  local at, scheduled = entry(s, 'scheduled_at'), nil
  if at then scheduled = int(s, at) end
  -- Python writes 0 if it does not know the time.
  if scheduled == 0 then scheduled = nil end
  return { entries = entries, scheduled = scheduled }
end

-- The bytes of the record, in the format of the peers.
local function encoded_pending(p)
  local raw = {}
  for n, e in ipairs(p.entries) do raw[n] = e.raw end
  local scheduled = p.scheduled and ('12:scheduled_ati' .. string.format('%d', p.scheduled) .. 'e') or ''
  return 'd7:returnsl' .. table.concat(raw) .. 'e' .. scheduled .. 'e'
end

local function put_long(hash, scheduled)
  call('HSET', record(hash), 'pending_returns', '*' .. (scheduled and string.format('%d', scheduled) or ''))
end

local function add_to_set(hash, entries)
  for from = 1, #entries, 1000 do
    local members = {}
    for n = from, math.min(from + 999, #entries) do
      local e = entries[n]
      members[#members + 1], members[#members + 2] = 0, by_job(e.job_id, e.parent, e.topic)
      members[#members + 1], members[#members + 2] = 0, by_parent(e.job_id, e.parent, e.topic)
    end
    call('ZADD', parents(hash), unpack(members))
  end
end

-- Removes the set of a call's parents, if there is one. `pending` must have been called before.
local function drop_set(hash)
  if has_set[hash] then call('UNLINK', parents(hash)) end
  has_set[hash] = nil
end

-- The ids of the records of a kind of which there are few, each with the score 0: see `keys.rs`.
local function ids(kind) return P .. 'brrr:ids:' .. kind end

local function put_pending(hash, p, kind)
  if kind then
    call('ZADD', ids(kind), 0, hash)
    return call('HSET', record(hash), kind, encoded_pending(p))
  end
  drop_set(hash)
  local is_long = #p.entries > MOST_LISTED
  for _, e in ipairs(is_long and p.entries or {}) do is_long = is_long and fits(e) end
  if not is_long then return call('HSET', record(hash), 'pending_returns', encoded_pending(p)) end
  put_long(hash, p.scheduled)
  add_to_set(hash, p.entries)
end

local function remove_pending(hash, ...)
  call('HDEL', record(hash), 'pending_returns', ...)
  drop_set(hash)
end

-- Messages and counters -------------------------------------------------------------------------------------------

-- May messages be sent to a topic? A topic in a record of a peer can be one of our keys, or a key that holds the data
-- of another program.
local destinations = {}
local function takes_messages(topic)
  if destinations[topic] == nil then
    local of_ours = find(topic, 'brrr:', 1, true) or find(topic, 'brrr_count/', 1, true)
    local held = not of_ours and call('TYPE', P .. topic).ok
    destinations[topic] = held == 'list' or held == 'none'
  end
  return destinations[topic]
end

-- The check before the first write: may messages be sent to a topic that a call or a client chose?
local function check_topic(topic)
  if not takes_messages(topic) then error('WRONGKEY ' .. P .. topic, 0) end
end

local function message(job_id, hash) return 'li2e' .. encoded(job_id) .. encoded(hash) .. 'e' end

-- If the topic can't take messages, none is sent, without an error. Otherwise the call could never end.
local function send(topic, job_id, hash)
  if takes_messages(topic) then call('RPUSH', P .. topic, message(job_id, hash)) end
end

-- The server's time in milliseconds.
local function server_time()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Adds a member to the delayed messages of a topic, which is due after so many milliseconds.
local function delay(topic, ms, member) call('ZADD', P .. 'brrr:delayed:' .. topic, server_time() + ms, member) end

-- Sends a message that arrives after a while.
local function send_after(ms, topic, job_id, hash)
  if not takes_messages(topic) then return end
  -- The look of an earlier wait of the same call is the same member, and is due at the new time then.
  delay(topic, ms, 'look:0:' .. message(job_id, hash))
end

-- Counts messages of a job, and returns the new total. A key that holds no counter is replaced: losing a counter does
-- no harm, but a transition must not stop in the middle.
local function count(job_id, n)
  local key = P .. 'brrr_count/' .. job_id
  local counted = redis.pcall('INCRBY', key, n)
  if type(counted) == 'number' then return counted end
  local err = counted.err
  if not (find(err, 'WRONGTYPE', 1, true) or find(err, 'not an integer', 1, true) or find(err, 'overflow', 1, true)) then
    error(err, 0)
  end
  call('SET', key, n)
  return n
end

-- Remembers how often a message came back, for its next delivery. A peer may take the message next, and peers do not
-- report that. So the number is kept for one day, and all numbers of the topic are deleted if there are too many.
local function remember_receives(topic, body, receives)
  local key = P .. 'brrr:receives:' .. topic
  if call('HLEN', key) >= 10000 then call('DEL', key) end
  call('HSET', key, body, receives)
  call('EXPIRE', key, 86400)
end

-- Forgets a delivered message: this worker's delivery of this number, and the number of earlier deliveries.
local function ack(worker, number, topic, body)
  if number == '' then return end
  call('HDEL', P .. 'brrr:held:' .. worker, number)
  call('ZREM', P .. 'brrr:leases', worker .. '/' .. number)
  if topic ~= '' then call('HDEL', P .. 'brrr:receives:' .. topic, body) end
end

-- Outcomes and jobs -----------------------------------------------------------------------------------------------

local function has_outcome(hash, job_id)
  local key = record(hash)
  return call('HEXISTS', key, 'value') == 1 or call('HEXISTS', key, 'failure/' .. job_id) == 1
end

-- Does the run record say that its call waits for other calls? See `cycle.rs`.
local function is_waiting(hash, job_id)
  local s = call('HGET', record(hash), 'run/' .. job_id)
  if not s then return false end
  return unless_damaged(true, function()
    local total = entry(s, 'total')
    return total ~= nil and int(s, total) > 0
  end)
end

-- Is a parent worth running? nil if no run has written a record; a number: not yet, but it is to be looked at after so
-- many milliseconds. `ended`: a call that is about to have an outcome, `failed`: a failure. See `records/waiting.rs`.
local function by_record(parent, ended, failed)
  local s = call('HGET', record(parent.parent), 'run/' .. parent.job_id)
  if not s then return nil end
  read('a run record', 'run/' .. parent.job_id, parent.parent)
  if byte(s, 1) ~= 100 then damaged('no dictionary') end
  local total, need, named, names, was_run = 0, 0, 0, nil, false
  local fast, pace, look = 0, 0, 0
  local i = 2
  while not names and byte(s, i) ~= 101 do
    local key
    key, i = text(s, i)
    if key == 'attempt' or key == 'first' then
      local n
      n, i = int(s, i)
      was_run = was_run or n ~= 0
    elseif key == 'fast' then
      fast, i = int(s, i)
    elseif key == 'look' then
      look, i = int(s, i)
    elseif key == 'pace' then
      pace, i = int(s, i)
    elseif key == 'named' then
      named, i = int(s, i)
    elseif key == 'need' then
      need, i = int(s, i)
    elseif key == 'total' then
      total, i = int(s, i)
    elseif key == 'v' then
      local v
      v, i = int(s, i)
      if v ~= 1 then damaged('its version is ' .. v .. '; this program knows 1') end
    elseif key == 'waits' then
      names = i + 1
    else
      i = skip(s, i)
    end
  end
  if need > total then damaged('it needs ' .. need .. ' of ' .. total .. ' calls') end
  local left, allowed, first = named, total - need, names
  while names and allowed >= 0 and left > allowed and byte(s, names) ~= 101 do
    local hash
    hash, names = name(s, names)
    left = left - 1
    -- If nobody waits for a call, the call has ended: see `multi_step/notify.rs`.
    if hash ~= ended and not has_outcome(hash, parent.job_id) and call('HEXISTS', record(hash), 'pending_returns') == 1 then
      allowed = allowed - 1
    end
  end
  if not was_run and total == 0 then return nil end
  if allowed >= 0 or fast ~= 0 and failed then return true end
  if pace <= 0 or look ~= 0 then return false end
  -- Does the parent still wait for the call? A call that is not named counts as ended.
  if named < total then return pace end
  while first and byte(s, first) ~= 101 do
    local hash
    hash, first = name(s, first)
    if hash == ended then return pace end
  end
  return false
end

-- A damaged record counts as ready. It belongs to the parent, so the parent's own message finds and reports the damage.
local function is_ready(parent, ended, failed)
  return unless_damaged(true, by_record, parent, ended, failed)
end

-- The parents in `entries` that are worth running now or after a while, and the parents without a run record.
local function ready_ones(entries, ended, failed)
  local ready, unknown = { later = {} }, {}
  for _, parent in ipairs(entries) do
    local is = is_ready(parent, ended, failed)
    if type(is) == 'number' then
      ready.later[#ready.later + 1] = { parent = parent, pace = is }
    elseif is then
      ready[#ready + 1] = parent
    end
    if is == nil then unknown[#unknown + 1] = parent end
  end
  return ready, unknown
end

-- Sends a parent a message for another look, and notes this in its run record.
local function look_later(parent, pace, now)
  count(parent.job_id, 1)
  send_after(pace, parent.topic, parent.job_id, parent.parent)
  local key, field = record(parent.parent), 'run/' .. parent.job_id
  local run = call('HGET', key, field)
  call('HSET', key, field, with(run, 'look', 'i' .. string.format('%.0f', now + pace) .. 'e'))
end

local function notify(ready, now)
  for _, one in ipairs(ready.later or {}) do look_later(one.parent, one.pace, now) end
  local counts = {}
  for _, parent in ipairs(ready) do
    send(parent.topic, parent.job_id, parent.parent)
    counts[parent.job_id] = (counts[parent.job_id] or 0) + 1
  end
  for job_id, n in pairs(counts) do count(job_id, n) end
end

-- Notifies all parents of a call that has its value, or is about to have it. Reads everything before the first write.
local function notify_all(hash, now, write)
  local ready, is_listed = {}, false
  for _, kind in ipairs({ 'pending_returns', 'unnotified' }) do
    local p = pending(hash, kind)
    if p then
      is_listed = kind == 'unnotified'
      local known, unknown = ready_ones(p.entries, hash)
      ready[#ready + 1], ready[#ready + 2] = known, unknown
    end
  end
  if write then write() end
  if #ready == 0 then return end
  for _, parents in ipairs(ready) do notify(parents, now) end
  remove_pending(hash, 'unnotified')
  -- If another program has put something else at this key, it has no entry to remove.
  if is_listed then redis.pcall('ZREM', ids('unnotified'), hash) end
end

-- Adds parents to those that a failure of the call did not notify.
local function keep_unnotified(kept, hash, parents)
  local entries = kept and kept.entries or {}
  for _, parent in ipairs(parents) do
    local position, is_new = #entries + 1, true
    for n = #entries, 1, -1 do
      if entries[n].raw == parent.raw then is_new = false end
      if sorted_before(parent, entries[n]) then position = n end
    end
    if is_new then table.insert(entries, position, parent) end
  end
  put_pending(hash, { entries = entries }, 'unnotified')
end

-- Notifies the parents in the job `job_id` of a call that failed in this job, or is about to fail. The other parents
-- stay, and the call is queued again in one of their jobs (R2): see `PendingReturns::next_in_turn`. Parents without a
-- run record are kept for a later value, see `multi_step/notify.rs`. The parent `ourselves` is not kept: the caller
-- notifies it.
local function notify_in_job(hash, job_id, topic, now, write, ourselves)
  local p = pending(hash)
  local mine, kept = {}, {}
  for _, e in ipairs(p and p.entries or {}) do
    local side = e.job_id == job_id and mine or kept
    if not ourselves or e.raw ~= ourselves.raw then side[#side + 1] = e end
  end
  local parents_of_job, is_elsewhere = {}, false
  for _, e in ipairs(mine) do
    if e.parent ~= hash then parents_of_job[#parents_of_job + 1] = e else is_elsewhere = true end
  end
  local ready, unknown = ready_ones(parents_of_job, hash, true)
  local unnotified = #unknown > 0 and pending(hash, 'unnotified')
  if #unknown > 0 then call('ZCARD', ids('unnotified')) end
  if write then write() end
  if not p then return end
  notify(ready, now)
  if #unknown > 0 then keep_unnotified(unnotified, hash, unknown) end
  if #kept == 0 then
    remove_pending(hash)
  elseif is_elsewhere then
    -- The job `job_id` had only joined the call. The call's message belongs to another job.
    put_pending(hash, { entries = kept, scheduled = p.scheduled })
  else
    local turn = kept[1]
    for _, e in ipairs(kept) do
      if before(job_id, e.job_id) then
        turn = e
        break
      end
    end
    count(turn.job_id, 1)
    -- If the job of `turn` had only joined the call, it has a message of its own now. So it is not listed as waiting
    -- any more: `joining.rs`.
    send(turn.parent == hash and turn.topic or topic, turn.job_id, hash)
    local left = {}
    for _, e in ipairs(kept) do
      if e.job_id ~= turn.job_id or e.parent ~= hash then left[#left + 1] = e end
    end
    if #left == 0 then
      remove_pending(hash)
    else
      put_pending(hash, { entries = left, scheduled = p.scheduled })
    end
  end
end

-- How a call with an outcome ended in a job. A failure counts even if a value came later (R1).
local function end_in_job(hash, job_id)
  local failure = call('HGET', record(hash), 'failure/' .. job_id)
  if not failure then return 'completed' end
  local kind = unless_damaged(nil, function()
    local at = entry(failure, 'kind')
    return at and text(failure, at)
  end)
  return kind == 'cancelled' and 'cancelled' or kind == 'timeout' and 'timed-out' or 'failed'
end

local function is_over(job_id)
  local job = call('HGET', job_record(job_id), 'job')
  read('a job record', 'job', job_id)
  return job and entry(job, 'state') ~= nil
end

-- The check before the first write: can the job's record be read? `ended` is '' if the script does not need the record.
local function check_job(job_id, ended)
  if ended ~= '' then is_over(job_id) end
end

-- The sets of jobs: see `keys.rs`.
local function jobs_in(state) return P .. 'brrr:jobs:' .. state end

-- Moves a job from the set of live jobs to that of its state. If another program has put something else at one of these keys, the
-- job stays where it is, and readers see its state in its record.
local function index_end(job_id, state)
  local position = redis.pcall('ZSCORE', P .. 'brrr:jobs', job_id)
  redis.pcall('ZREM', jobs_in('alive'), job_id)
  if state ~= 'completed' and type(position) == 'string' then redis.pcall('ZADD', jobs_in(state), position, job_id) end
end

-- Records how a job ended, if we have a record of it and it is not over.
local function mark_over(job_id, state, at)
  local job = call('HGET', job_record(job_id), 'job')
  read('a job record', 'job', job_id)
  if not job or entry(job, 'state') then return end
  job = with(with(job, 'state', encoded(state)), 'ended', 'i' .. at .. 'e')
  call('HSET', job_record(job_id), 'job', job)
  index_end(job_id, state)
  -- For those who wait for the job. The user may have no permission for it, and then they look by themselves.
  redis.pcall('PUBLISH', P .. 'brrr:over', '')
end
