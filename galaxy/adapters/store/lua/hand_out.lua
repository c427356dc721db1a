-- Records which apps of a page get a new version, before anybody is asked to make it.
-- KEYS: UPDATE, HANDED_OUT, LATE, AHEAD, UPDATES
-- ARGV: image, update, cursor, page
--   update: its number; cursor: of the walk that the page was read from.
--   page: JSON with `apps`: those that get a version; `ahead`: those to decide about after the next check; `cursor`: the
--   next one; `walked`: the walk has come to its end; `skipped`: how many get none; and `late`, scores by app: instead
--   of a page of the walk, the latecomers that were decided about.
-- Returns the apps that were handed out: none when another fan-out was faster or the update is over.
local UPDATE, HANDED_OUT, LATE, AHEAD, UPDATES = unpack(KEYS)
local image, update, cursor, page = unpack(ARGV)
page = cjson.decode(page)
local number, state, current = unpack(redis.call('HMGET', UPDATE, 'number', 'state', 'cursor'))
if number ~= update or state == 'paused' or (current or '') ~= cursor then return {} end
redis.call('HSET', UPDATE, 'cursor', page.cursor)
if page.walked then redis.call('HSET', UPDATE, 'walked', 1) end
redis.call('HINCRBY', UPDATE, 'skipped', page.skipped)
local now = ms(now_ms())
local are_late, decided = next(page.late) ~= nil, {}
for app, score in pairs(page.late) do
  -- something that happened to the app since then calls for another decision
  if redis.call('ZSCORE', LATE, app) == score then
    redis.call('ZREM', LATE, app)
    decided[app] = true
  end
end
local reply = {}
for _, app in ipairs(page.apps) do
  if not are_late or decided[app] then
    redis.call('ZADD', HANDED_OUT, now, app)
    table.insert(reply, app)
  end
end
for _, app in ipairs(page.ahead) do
  if not are_late or decided[app] then redis.call('ZADD', AHEAD, 0, app) end
end
if state == 'done' and #reply > 0 then
  -- latecomers are the update's apps as all others, with its waves
  redis.call('HSET', UPDATE, 'state', 'running')
  redis.call('ZADD', UPDATES, now, image)
end
return reply
